// SPDX-License-Identifier: Apache-2.0
#include "gui/views/model_dialog.h"

#include <QDialogButtonBox>
#include <QFileDialog>
#include <QFormLayout>
#include <QHBoxLayout>
#include <QLabel>
#include <QMessageBox>
#include <QPushButton>

#include "app/human.h"
#include "core/error.h"
#include "core/import/model_zoo.h"
#include "gui/text.h"
#include "profiles/load_cluster.h"

namespace meshplan::gui {
namespace {

constexpr int kMostSamples = 1 << 24, kLongestSequence = 1 << 22;

template <class Map>
QString pairsText(const Map& pairs) {
  QStringList words;
  for (const auto& [key, value] : pairs) {
    if constexpr (std::is_same_v<std::decay_t<decltype(value)>, int64_t>)
      words << text(key) + "=" + QString::number(value);
    else
      words << text(key) + "=" + text(value);
  }
  return words.join(", ");
}

/// "batch=8, seq=128" into `pairs`.
std::map<std::string, std::string> pairsOf(const QString& words, const QString& field) {
  std::map<std::string, std::string> pairs;
  for (const QString& word : words.split(',', Qt::SkipEmptyParts)) {
    const QString key = word.section('=', 0, 0).trimmed(), value = word.section('=', 1).trimmed();
    if (key.isEmpty() || value.isEmpty())
      throw Error(ErrorKind::usage, "'" + word.trimmed().toStdString() + "' has no name or value",
                  "write name=value, separated by commas")
          .at(field.toStdString());
    pairs[key.toStdString()] = value.toStdString();
  }
  return pairs;
}

QStringList modelNames() {
  QStringList names;
  for (const ZooEntry& entry : modelZoo()) names << text(entry.name);
  return names;
}

QStringList clusterNames() {
  QStringList names{"local:2", "local:4"};
  for (const std::string& node : catalogNodeNames()) names << text(node);
  for (const char* cluster : {"8xH100-SXM", "8xH200", "4x8xH100-SXM", "16x8xA100-SXM-80GB"})
    names << cluster;
  return names;
}

}  // namespace

ModelDialog::ModelDialog(const OpenRequest& request, QWidget* parent)
    : QDialog(parent), before_(request) {
  setObjectName("ModelDialog");
  setWindowTitle(tr("Plan a model"));
  auto* layout = new QVBoxLayout(this);
  auto* form = new QFormLayout;
  layout->addLayout(form);
  const auto addWithFiles = [&](const QString& name, QComboBox* box, const QString& title,
                                const QString& filter) {
    auto* row = new QHBoxLayout;
    auto* files = new QPushButton(tr("File …"), this);
    files->setAccessibleName(title);
    connect(files, &QPushButton::clicked, this, [=, this] { browse(box, title, filter); });
    row->addWidget(box, 1);
    row->addWidget(files);
    auto* label = new QLabel(name, this);
    label->setBuddy(box);
    form->addRow(label, row);
  };
  model_ = choices(tr("Model"), modelNames(), text(request.model.source), true);
  for (size_t i = 0; i < modelZoo().size(); ++i)
    model_->setItemData(int(i), text(modelZoo()[i].description), Qt::ToolTipRole);
  addWithFiles(tr("&Model"), model_, tr("Open a model"),
               tr("Models (*.onnx *.json);;All files (*)"));
  sequence_ = number(tr("Sequence length"), request.model.sequence.value_or(0));
  sequence_->setMaximum(kLongestSequence);
  form->addRow(tr("&Sequence length"), sequence_);
  settings_ = line(tr("Settings"), "layers=24, hidden=2048", pairsText(request.model.settings));
  form->addRow(tr("Se&ttings"), settings_);
  dims_ = line(tr("Dimensions of an ONNX graph"), "batch=8", pairsText(request.model.dims));
  form->addRow(tr("&Dimensions"), dims_);
  const bool given = !request.clusterJson.empty();
  cluster_ = choices(tr("Cluster"), clusterNames(),
                     given ? tr("as in the plan") : text(request.cluster), true);
  addWithFiles(tr("&Cluster"), cluster_, tr("Open a cluster"),
               tr("Clusters (*.json *.txt);;All files (*)"));
  limit_ = line(tr("Memory per device"), tr("all of the device"),
                request.memoryLimit ? text(*request.memoryLimit) : QString());
  form->addRow(tr("Memory &limit"), limit_);
  batch_ = number(tr("Global batch"), request.globalBatch);
  form->addRow(tr("Global &batch"), batch_);
  precision_ = choices(tr("Precision"), {"bf16", "fp16", "tf32", "fp32", "fp64"},
                       text(precisionName(request.training.precision)), false);
  form->addRow(tr("&Precision"), precision_);
  optimizer_ = choices(tr("Optimizer"), {"adamw", "adam", "momentum", "sgd"},
                       text(optimizerName(request.training.optimizer)), false);
  form->addRow(tr("&Optimizer"), optimizer_);
  auto* buttons = new QDialogButtonBox(QDialogButtonBox::Cancel, this);
  auto* search = buttons->addButton(tr("Search for plans"), QDialogButtonBox::AcceptRole);
  search->setObjectName("plan");
  connect(buttons, &QDialogButtonBox::accepted, this, &ModelDialog::accept);
  connect(buttons, &QDialogButtonBox::rejected, this, &QDialog::reject);
  layout->addWidget(buttons);
  setMinimumWidth(fontMetrics().averageCharWidth() * 80);
}

QComboBox* ModelDialog::choices(const QString& name, const QStringList& items, const QString& value,
                                bool editable) {
  auto* box = new QComboBox(this);
  box->setObjectName("choose:" + name);
  box->setAccessibleName(name);
  box->setEditable(editable);
  box->addItems(items);
  box->setCurrentIndex(items.indexOf(value));
  if (editable) box->setEditText(value);
  return box;
}

QSpinBox* ModelDialog::number(const QString& name, int64_t value) {
  auto* box = new QSpinBox(this);
  box->setObjectName("choose:" + name);
  box->setAccessibleName(name);
  box->setRange(0, kMostSamples);
  box->setSpecialValueText(tr("default"));
  box->setValue(static_cast<int>(value));
  return box;
}

QLineEdit* ModelDialog::line(const QString& name, const QString& hint, const QString& value) {
  auto* edit = new QLineEdit(value, this);
  edit->setObjectName("choose:" + name);
  edit->setAccessibleName(name);
  edit->setPlaceholderText(hint);
  return edit;
}

void ModelDialog::browse(QComboBox* box, const QString& title, const QString& filter) {
  const QString path = QFileDialog::getOpenFileName(this, title, {}, filter);
  if (!path.isEmpty()) box->setCurrentText(path);
}

OpenRequest ModelDialog::request() const {
  OpenRequest r;
  r.model = before_.model;
  r.training = before_.training;
  const std::string source = model_->currentText().trimmed().toStdString();
  if (source.empty())
    throw Error(ErrorKind::usage, "no model is named", "choose one, or a file").at("Model");
  if (source != before_.model.source) r.model = ModelRequest{};
  r.model.source = source;
  r.model.sequence.reset();
  if (sequence_->value() > 0) r.model.sequence = sequence_->value();
  r.model.settings = pairsOf(settings_->text(), "Settings");
  r.model.dims.clear();
  for (const auto& [name, value] : pairsOf(dims_->text(), "Dimensions")) {
    bool fine = false;
    const qlonglong size = QString::fromStdString(value).toLongLong(&fine);
    if (!fine || size < 1)
      throw Error(ErrorKind::usage, "'" + value + "' is no size", "use a whole number from 1")
          .at("Dimensions");
    r.model.dims[name] = size;
  }
  if (cluster_->currentText() == tr("as in the plan"))
    r.clusterJson = before_.clusterJson;
  else
    r.cluster = cluster_->currentText().trimmed().toStdString();
  r.memoryLimit = before_.memoryLimit;
  if (limit_->isModified() && limit_->text().trimmed().isEmpty())
    r.memoryLimit.reset();
  else if (limit_->isModified())
    r.memoryLimit = parseBytes(limit_->text().trimmed().toStdString(), "Memory limit");
  r.globalBatch = batch_->value();
  r.training.precision = parsePrecision(precision_->currentText().toStdString());
  r.training.optimizer = parseOptimizer(optimizer_->currentText().toStdString());
  return r;
}

void ModelDialog::accept() {
  try {
    request();
    QDialog::accept();
  } catch (const Error& error) {
    QMessageBox box(QMessageBox::Warning, windowTitle(), text(error.what()), QMessageBox::Ok, this);
    box.setObjectName("failure");
    box.exec();
  }
}

}  // namespace meshplan::gui
