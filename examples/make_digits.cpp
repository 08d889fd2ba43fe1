// SPDX-License-Identifier: Apache-2.0
// Draws handwritten-looking digits and writes them as files in MNIST's format under MNIST's names,
// so that examples/train.sh works without a download. Each digit is a few strokes, bent, sheared,
// turned, scaled and shifted at random, drawn with a pen of random width, with noise over the
// image. The same seed gives the same files. Usage: make_digits FOLDER [TRAIN [TEST [SEED]]]
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

namespace {

constexpr int kSize = 28;  // pixels
constexpr int kClasses = 10;
constexpr double kPi = 3.14159265358979323846;

struct Point {
  double x = 0, y = 0;
};
using Stroke = std::vector<Point>;
using Image = std::array<uint8_t, kSize * kSize>;

/// splitmix64 (Steele, Lea, Flood 2014).
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t bits() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  double between(double low, double high) {
    return low + (high - low) * static_cast<double>(bits() >> 11) * 0x1p-53;
  }

 private:
  uint64_t state_;
};

/// Angles in degrees, clockwise from the right; the unit square's y points down.
Stroke arc(Point centre, double rx, double ry, double from, double to) {
  constexpr int kParts = 16;
  Stroke stroke;
  for (int i = 0; i <= kParts; ++i) {
    const double angle = (from + (to - from) * i / kParts) * kPi / 180;
    stroke.push_back({centre.x + rx * std::cos(angle), centre.y + ry * std::sin(angle)});
  }
  return stroke;
}

Stroke line(Stroke corners) {
  constexpr int kParts = 6;  // so that a line can bend
  Stroke stroke{corners.front()};
  for (size_t c = 1; c < corners.size(); ++c)
    for (int i = 1; i <= kParts; ++i) {
      const double t = static_cast<double>(i) / kParts;
      const Point a = corners[c - 1], b = corners[c];
      stroke.push_back({a.x + t * (b.x - a.x), a.y + t * (b.y - a.y)});
    }
  return stroke;
}

std::vector<Stroke> strokesOf(int digit) {
  switch (digit) {
    case 0:
      return {arc({.5, .5}, .28, .42, 0, 360)};
    case 1:
      return {line({{.33, .27}, {.52, .08}, {.52, .92}})};
    case 2:
      return {arc({.5, .32}, .26, .24, 180, 395), line({{.71, .46}, {.24, .92}, {.78, .92}})};
    case 3:
      return {arc({.46, .29}, .25, .21, 200, 450), arc({.46, .71}, .28, .21, 270, 520)};
    case 4:
      return {line({{.62, .92}, {.62, .08}, {.2, .65}, {.82, .65}})};
    case 5:
      return {line({{.74, .08}, {.32, .08}, {.29, .47}}), arc({.48, .66}, .27, .26, 225, 500)};
    case 6:
      return {arc({.66, .62}, .4, .54, 165, 265), arc({.5, .69}, .24, .22, 0, 360)};
    case 7:
      return {line({{.22, .1}, {.77, .1}, {.42, .92}})};
    case 8:
      return {arc({.5, .29}, .2, .2, 0, 360), arc({.5, .71}, .25, .21, 0, 360)};
    default:
      return {arc({.5, .32}, .24, .23, 0, 360), line({{.74, .32}, {.64, .92}})};
  }
}

/// From the unit square to pixels: bent, sheared, scaled, turned, shifted.
class Distortion {
 public:
  explicit Distortion(Random& random)
      : width_(random.between(14, 21)),
        height_(random.between(17, 23)),
        angle_(random.between(-.25, .25)),
        shear_(random.between(-.25, .25)),
        bend_(random.between(-.06, .06)),
        phase_(random.between(0, 2 * kPi)),
        shift_{random.between(-2.5, 2.5), random.between(-2, 2)} {}

  Point operator()(Point p) const {
    const double v = (p.y - .5) * height_;
    const double u = (p.x - .5 + bend_ * std::sin(2 * kPi * p.y + phase_)) * width_ + shear_ * v;
    const double c = std::cos(angle_), s = std::sin(angle_), middle = (kSize - 1) / 2.0;
    return {middle + shift_.x + c * u - s * v, middle + shift_.y + s * u + c * v};
  }

 private:
  double width_, height_, angle_, shear_, bend_, phase_;
  Point shift_;
};

double distance(Point p, Point a, Point b) {
  const double dx = b.x - a.x, dy = b.y - a.y, length = dx * dx + dy * dy;
  const double along = length == 0 ? 0 : ((p.x - a.x) * dx + (p.y - a.y) * dy) / length;
  const double t = std::clamp(along, 0.0, 1.0);
  return std::hypot(p.x - a.x - t * dx, p.y - a.y - t * dy);
}

using Ink = std::array<double, kSize * kSize>;  // 0 to 1

void drawSegment(Ink& ink, Point a, Point b, double radius) {
  const auto first = [&](double v) { return std::max(0, static_cast<int>(v - radius)); };
  const auto last = [&](double v) { return std::min(kSize - 1, static_cast<int>(v + radius + 2)); };
  for (int y = first(std::min(a.y, b.y)); y <= last(std::max(a.y, b.y)); ++y)
    for (int x = first(std::min(a.x, b.x)); x <= last(std::max(a.x, b.x)); ++x) {
      const double covered = radius + .5 - distance({double(x), double(y)}, a, b);
      double& pixel = ink[static_cast<size_t>(y * kSize + x)];
      pixel = std::max(pixel, std::clamp(covered, 0.0, 1.0));
    }
}

Image draw(int digit, Random& random) {
  const Distortion distorted(random);
  const double radius = random.between(.6, 1.5), strength = random.between(180, 255);
  Ink ink{};
  for (const Stroke& stroke : strokesOf(digit))
    for (size_t i = 1; i < stroke.size(); ++i)
      drawSegment(ink, distorted(stroke[i - 1]), distorted(stroke[i]), radius);
  Image image;
  for (size_t i = 0; i < image.size(); ++i) {
    const double noise = random.between(-30, 30) + random.between(-30, 30);
    image[i] = static_cast<uint8_t>(std::clamp(strength * ink[i] + noise, 0.0, 255.0));
  }
  return image;
}

std::string idxHeader(std::initializer_list<uint32_t> extents) {
  std::string header{0, 0, 8, static_cast<char>(extents.size())};  // 8: unsigned bytes
  for (uint32_t e : extents)
    for (int shift : {24, 16, 8, 0}) header += static_cast<char>(e >> shift);
  return header;
}

bool writeSet(const std::string& prefix, uint32_t count, uint64_t seed) {
  std::string images = idxHeader({count, kSize, kSize}), labels = idxHeader({count});
  Random random(seed);
  for (uint32_t i = 0; i < count; ++i) {
    const int digit = static_cast<int>(random.bits() % kClasses);
    const Image image = draw(digit, random);
    images.append(image.begin(), image.end());
    labels += static_cast<char>(digit);
  }
  std::ofstream imageFile(prefix + "-images-idx3-ubyte", std::ios::binary);
  std::ofstream labelFile(prefix + "-labels-idx1-ubyte", std::ios::binary);
  imageFile << images;
  labelFile << labels;
  return imageFile.flush() && labelFile.flush();
}

bool parse(std::string_view text, uint32_t& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

int main(int argc, char** argv) {
  uint32_t counts[] = {8000, 1000, 1};  // train, test, seed
  bool valid = argc >= 2 && argc <= 5;
  for (int i = 2; valid && i < argc; ++i) valid = parse(argv[i], counts[i - 2]);
  if (!valid) {
    fmt::print(stderr, "usage: make_digits FOLDER [TRAIN [TEST [SEED]]]\n");
    return 2;
  }
  const std::filesystem::path folder = argv[1];
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  const uint64_t seed = uint64_t{2} * counts[2];  // test images from the odd ones
  if (writeSet(folder / "train", counts[0], seed) && writeSet(folder / "t10k", counts[1], seed + 1))
    return 0;
  fmt::print(stderr, "error: cannot write into {}\n", folder.string());
  return 5;
}
