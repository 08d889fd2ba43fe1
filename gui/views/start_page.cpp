// SPDX-License-Identifier: Apache-2.0
#include "gui/views/start_page.h"

#include <QFileInfo>
#include <QLabel>
#include <QPushButton>

#include "gui/text.h"

namespace meshplan::gui {
namespace {

/// `sequence` 0: it has none.
OpenRequest request(const std::string& model, int64_t sequence, const std::string& cluster,
                    int64_t batch) {
  OpenRequest r;
  r.model.source = model;
  if (sequence > 0) r.model.sequence = sequence;
  r.cluster = cluster;
  r.globalBatch = batch;
  return r;
}

QLabel* heading(const QString& words, double scale, QWidget* parent) {
  auto* label = new QLabel(words, parent);
  QFont font = label->font();
  font.setPointSizeF(font.pointSizeF() * scale);
  label->setFont(font);
  label->setAlignment(Qt::AlignCenter);
  return label;
}

}  // namespace

StartPage::StartPage(QWidget* parent)
    : QWidget(parent), examples_(new QHBoxLayout), recent_(new QVBoxLayout) {
  setObjectName("StartPage");
  setAccessibleName(tr("Start"));
  auto* layout = new QVBoxLayout(this);
  layout->addStretch(2);
  layout->addWidget(heading(tr("How should this model be split over these GPUs?"), 1.7, this));
  layout->addSpacing(8);
  layout->addWidget(
      heading(tr("Start with an example, or drop a model, plan or cluster file here."), 1.0, this));
  layout->addSpacing(24);
  layout->addLayout(examples_);
  examples_->addStretch(1);
  addExample(tr("Llama-3 8B"), tr("on one node of 8 H100\nsequences of 8,192 tokens"),
             request("llama3-8b", 8192, "8xH100-SXM", 64));
  addExample(tr("GPT-3 175B"), tr("on 1,024 A100 of 80 GB\nsequences of 2,048 tokens"),
             request("gpt3-175b", 2048, "128x8xA100-SXM-80GB", 1536));
  addExample(tr("ResNet-50"), tr("on this computer's processor\nimages of 224 × 224"),
             request("resnet50", 0, "local:2", 16));
  examples_->addStretch(1);
  layout->addSpacing(16);
  auto* others = new QHBoxLayout;
  auto* choose = new QPushButton(tr("Choose a model and a cluster …"), this);
  choose->setObjectName("choose");
  connect(choose, &QPushButton::clicked, this, &StartPage::choosePressed);
  auto* open = new QPushButton(tr("Open a file …"), this);
  open->setObjectName("open");
  connect(open, &QPushButton::clicked, this, &StartPage::openPressed);
  others->addStretch(1);
  others->addWidget(choose);
  others->addWidget(open);
  others->addStretch(1);
  layout->addLayout(others);
  layout->addSpacing(16);
  layout->addLayout(recent_);
  layout->addStretch(3);
}

void StartPage::addExample(const QString& name, const QString& what, const OpenRequest& r) {
  auto* button = new QPushButton(name + "\n\n" + what, this);
  button->setObjectName("example:" + text(r.model.source));
  button->setAccessibleName(name);
  const QFontMetrics metrics = fontMetrics();
  button->setMinimumSize(metrics.averageCharWidth() * 34, metrics.height() * 7);
  connect(button, &QPushButton::clicked, this, [this, r] { Q_EMIT chosen(r); });
  examples_->addWidget(button);
}

void StartPage::showRecent(const QStringList& files) {
  while (QLayoutItem* item = recent_->takeAt(0)) {
    delete item->widget();
    delete item;
  }
  for (const QString& file : files) {
    auto* button = new QPushButton(QFileInfo(file).fileName(), this);
    button->setFlat(true);
    button->setToolTip(file);
    connect(button, &QPushButton::clicked, this, [this, file] { Q_EMIT fileChosen(file); });
    recent_->addWidget(button, 0, Qt::AlignCenter);
  }
}

}  // namespace meshplan::gui
