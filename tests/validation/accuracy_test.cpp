// SPDX-License-Identifier: Apache-2.0
// Holds the errors that have been reached. The published tables lie outside the repository (or in
// the folder that MESHPLAN_VALIDATION names) and are checked where they are; tables of our own
// always.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "tests/validation/mapping.h"
#include "tests/validation/statistics.h"

namespace meshplan {
namespace {

struct Bar {
  const char *table, *part;  // the file, and the table's name in the report
  double mape;
};

std::ostream& operator<<(std::ostream& out, const Bar& bar) {
  return out << bar.part;
}

ErrorSummary errorsOf(const std::string& path, const std::string& part) {
  const Table table = readTable(path);
  StepPredictor predictor;
  std::vector<Prediction> all;
  for (const Mapping& m : mappings())
    if (m.takes(table)) {
      m.predict(table, predictor, all);
      break;
    }
  std::vector<const Prediction*> rows;
  for (const Prediction& p : all)
    if (p.table == part) rows.push_back(&p);
  return summarise(rows);
}

std::string publishedFolder() {
  const char* named = std::getenv("MESHPLAN_VALIDATION");
  return named ? named : MESHPLAN_SOURCE_DIR "/../shared/validation";
}

class PublishedTable : public testing::TestWithParam<Bar> {};

TEST_P(PublishedTable, IsPredictedWithinItsBar) {
  const Bar& bar = GetParam();
  const std::string path = publishedFolder() + "/" + bar.table + ".csv";
  if (!std::filesystem::exists(path))
    GTEST_SKIP() << path << " is not there: MESHPLAN_VALIDATION names the folder of the tables";
  const ErrorSummary errors = errorsOf(path, bar.part);
  ASSERT_GT(errors.rows, 0u);
  EXPECT_LE(errors.mean, bar.mape);
}

constexpr Bar kBars[] = {
    {"vtrain_ground_truth_single_node", "vtrain_ground_truth_single_node", 0.08},
    {"vtrain_ground_truth_multi_node", "vtrain_ground_truth_multi_node", 0.11},
    {"megatron_sc21_table1", "megatron_sc21_table1", 0.08},
    {"korthikanti2022_tables", "korthikanti2022_tables", 0.04},
    {"korthikanti2022_memory_via_calculon", "korthikanti2022_memory_via_calculon", 0.08},
    {"megatron_core_h100_weak_scaling", "megatron_core_h100_weak_scaling", 0.08},
    {"llm_foundry_mpt_throughput", "llm_foundry_mpt_throughput", 0.10},
    {"galvatron_llama2_7b_memory", "galvatron_llama2_7b_memory_ms", 0.03},
    {"galvatron_llama2_7b_memory", "galvatron_llama2_7b_memory_act", 0.03},
    {"galvatron_llama2_7b_memory", "galvatron_llama2_7b_memory_act_peak", 0.08},
    {"neusight_measured_e2e", "neusight_measured_e2e_training", 0.12},
    {"flashattention2_fwd_bwd_tflops", "flashattention2_fwd_bwd_tflops_flash", 0.12},
    {"flashattention2_fwd_bwd_tflops", "flashattention2_fwd_bwd_tflops_math", 0.12},
    {"neusight_gemm_fp32_linear", "neusight_gemm_fp32_linear", 0.12},
    {"nccl_allreduce_azure_nda100v4_1to128", "nccl_allreduce_azure_nda100v4_1to128_from_1mib",
     0.10},
    {"nccl_allreduce_azure_nda100v4_1to128", "nccl_allreduce_azure_nda100v4_1to128_below_1mib",
     0.20},
};

INSTANTIATE_TEST_SUITE_P(Bars, PublishedTable, testing::ValuesIn(kBars),
                         [](const auto& info) { return std::string(info.param.part); });

TEST(OwnTable, ResNet50OfNvidiaIsPredictedWithinTenPerCent) {
  const ErrorSummary errors =
      errorsOf(MESHPLAN_SOURCE_DIR "/tests/validation/tables/nvidia_examples_resnet50.csv",
               "nvidia_examples_resnet50");
  ASSERT_GT(errors.rows, 100u);
  EXPECT_LE(errors.mean, 0.10);
}

TEST(PublishedChoice, LosesLittleAndOrdersPairs) {
  const std::string path = publishedFolder() + "/vtrain_ground_truth_single_node.csv";
  if (!std::filesystem::exists(path))
    GTEST_SKIP() << path << " is not there: MESHPLAN_VALIDATION names the folder of the tables";
  const Table table = readTable(path);
  StepPredictor predictor;
  std::vector<Prediction> all;
  predictVtrainSteps(table, predictor, all);
  std::vector<const Prediction*> rows;
  for (const Prediction& p : all) rows.push_back(&p);
  const ChoiceSummary choice = summariseChoices(rows);
  EXPECT_LE(choice.meanRegret, 0.03);
  EXPECT_GE(choice.concordance, 0.9);
}

}  // namespace
}  // namespace meshplan
