// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "core/training.h"
#include "profiles/imported.h"

namespace meshplan {

/// One operator as a graph may hold it: a def, its attributes and its inputs. Shapes are the local
/// ones; dtypes follow from the precision, as in `trainingGraph`.
struct OperatorForm {
  enum class Role : uint8_t { activation, parameter, whole };  // whole: 64-bit integers
  struct Input {
    Shape shape;
    Role role = Role::activation;
  };
  std::string_view def;
  Attributes attributes;
  std::vector<Input> inputs;
};

/// The works of a form and of its gradient operators, made as the planner makes them (workOf over a
/// training graph), so that their keys are those a plan looks up. Every floating input is
/// differentiated. `gradients` of parameters are in `gradientDType`.
struct FormWorks {
  NamedWork forward;
  std::vector<NamedWork> gradients;
};

/// Throws Error(input) when the inputs do not fit the operator.
FormWorks worksOf(const OperatorForm& form, Precision precision, DType gradientDType);

}  // namespace meshplan
