// SPDX-License-Identifier: Apache-2.0
// Times the timeline of the desktop app on a step of a million spans, without a display and without
// a graphics card: how long it takes to open, and to draw frames while panning and zooming at
// 1920 x 1080. `gui_bench 10000000` takes so many spans.
#include <QApplication>
#include <QImage>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>

#include "gui/views/timeline_view.h"
#include "tests/gui/synthetic_timeline.h"

namespace meshplan::gui {
namespace {

using Clock = std::chrono::steady_clock;

// Milliseconds on the wall and of this process' processors.
struct Times {
  double wall = 0, cpu = 0;
};

Times timed(const std::function<void()>& work) {
  const auto begin = Clock::now();
  const std::clock_t cpu = std::clock();
  work();
  return {std::chrono::duration<double, std::milli>(Clock::now() - begin).count(),
          1e3 * double(std::clock() - cpu) / CLOCKS_PER_SEC};
}

double quantile(const std::vector<Times>& all, double at, double Times::*which) {
  std::vector<double> sorted;
  for (const Times& t : all) sorted.push_back(t.*which);
  std::sort(sorted.begin(), sorted.end());
  return sorted[size_t(at * double(sorted.size() - 1))];
}

void print(const char* what, const std::vector<Times>& frames) {
  std::printf("%-28s median %6.2f ms, 95 %% within %6.2f ms (processor: %6.2f, %6.2f)\n", what,
              quantile(frames, 0.5, &Times::wall), quantile(frames, 0.95, &Times::wall),
              quantile(frames, 0.5, &Times::cpu), quantile(frames, 0.95, &Times::cpu));
}

class Bench {
 public:
  explicit Bench(size_t spans)
      : synthetic_(syntheticTimeline({.stages = 8, .spans = spans})),
        screen_(1920, 1080, QImage::Format_RGB32),
        view_(session_, selection_) {
    view_.resize(screen_.size());
  }

  void open() {
    std::shared_ptr<const TimelineScene> scene;
    const Times made =
        timed([&] { scene = sceneOf(synthetic_.program, graph_, synthetic_.timeline); });
    const Times shown = timed([&] { view_.showScene(scene), frame(); });
    std::printf("%zu spans on %zu tracks: tracks made in %.0f ms, first frame after %.0f ms more\n",
                synthetic_.timeline.spans.size(), scene->tracks.tracks().size(), made.wall,
                shown.wall);
  }

  void pan() {
    for (const double part : {0.5, 1e-2, 1e-4}) {
      const double length = part * window().stepTime();
      window().show(0, length);
      std::vector<Times> frames;
      for (int i = 0; i < 100; ++i)
        frames.push_back(timed([&] { window().pan(std::min(0.05 * length, 0.005)), frame(); }));
      char name[64];
      std::snprintf(name, sizeof name, "pan, %g of the step", part);
      print(name, frames);
    }
  }

  void zoom() {
    window().showAll();
    std::vector<Times> frames;
    const double at = 0.37 * window().stepTime();
    for (int i = 0; i < 120; ++i)
      frames.push_back(timed([&] { window().zoom(at, i < 60 ? 0.85 : 1 / 0.85), frame(); }));
    print("zoom to 1/17,000 and back", frames);
  }

  void hover() {
    window().showAll();
    frame();
    std::vector<Times> frames;
    for (int i = 0; i < 100; ++i)
      frames.push_back(timed([&] {
        view_.lanes().placeAt(QPointF(400 + 10 * i, 40 + i));
        view_.lanes().update();
        frame();
      }));
    print("hover", frames);
  }

  void select() {
    frame();
    std::vector<Times> frames;
    for (size_t i = 0; i < 20; ++i)
      frames.push_back(timed([&] { selection_.setOperators({OpId(i)}), frame(); }));
    print("select an operator", frames);
  }

 private:
  TimeWindow& window() { return view_.state().window(); }
  void frame() { view_.render(&screen_); }

  SyntheticTimeline synthetic_;
  Graph graph_;
  Session session_;
  Selection selection_;
  QImage screen_;
  TimelineView view_;
};

}  // namespace
}  // namespace meshplan::gui

int main(int argc, char** argv) {
  qputenv("QT_QPA_PLATFORM", "offscreen");
  QApplication app(argc, argv);
  const double spans = argc > 1 ? std::atof(argv[1]) : 1e6;
  meshplan::gui::Bench bench(static_cast<size_t>(std::max(1e3, spans)));
  bench.open();
  bench.pan();
  bench.zoom();
  bench.hover();
  bench.select();
}
