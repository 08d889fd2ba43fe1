// SPDX-License-Identifier: Apache-2.0
#include "tests/validation/table.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "core/error.h"
#include "profiles/device_name.h"
#include "tests/validation/mapping.h"
#include "tests/validation/statistics.h"

namespace meshplan {
namespace {

Table tableOf(const std::string& name, const std::string& text) {
  const std::string path = testing::TempDir() + name + ".csv";
  std::ofstream(path) << text;
  return readTable(path);
}

std::vector<Prediction> predictionsOf(const Table& table) {
  static StepPredictor predictor;
  std::vector<Prediction> out;
  for (const Mapping& m : mappings())
    if (m.takes(table)) {
      m.predict(table, predictor, out);
      break;
    }
  return out;
}

TEST(Table, CommentsAreSkippedAndQuotedCellsKeepTheirCommas) {
  const Table t = tableOf("quoted", "# a, source\nname,value,none\n\"a, b\", 2.5 ,\n");
  ASSERT_EQ(t.rows.size(), 1u);
  EXPECT_EQ(t.rows[0].text({"name"}), "a, b");
  EXPECT_EQ(t.rows[0].number({"other", "value"}), 2.5);
  EXPECT_FALSE(t.rows[0].has({"none"}));
  EXPECT_THROW(t.rows[0].integer({"value"}), Error);
  EXPECT_THROW(t.rows[0].number({"name"}), Error);
}

TEST(DeviceNames, AreFoundAsOthersWriteThem) {
  for (const auto& [theirs, ours] : std::initializer_list<std::pair<const char*, const char*>>{
           {"Tesla V100-PCIE-32GB", "V100-PCIe-32GB"},
           {"NVIDIA_A100_80GB_PCIe", "A100-PCIe-80GB"},
           {"A100-80GB-SXM4", "A100-SXM-80GB"},
           {"NVIDIA H100 80GB HBM3", "H100-SXM"},
           {"NVIDIA B300 SXM", "B300"},
           {"NVIDIA_L4", "L4"}})
    EXPECT_EQ(catalogueDevice(theirs), ours);
  EXPECT_THROW(catalogueDevice("NVIDIA X9000"), Error);
}

struct Example {
  const char *name, *text;
};

// One row in the columns of each table; figures and shapes are made up.
constexpr Example kExamples[] = {
    {"linear", "device,B,M,N,K,latency_ms,kernel\nTesla T4,1,512,512,512,1,k\n"},
    {"batched", "B,M,N,K,latency_ms,tflops\n8,256,256,256,1,1\n"},
    {"gemm", "precision,M,N,K,transA,transB,time_ms\nfp32,512,32,512,N,N,1\n"},
    {"conv",
     "precision,W,H,C,N,K,S,R,pad_w,pad_h,stride_w,stride_h,fwd_ms\nfp32,14,14,64,8,64,3,3,1,1,1,"
     "1,1\n"},
    {"mamf", "dtype,accelerator,mamf_tflops,best_MxNxK\nbf16,NVIDIA H200 SXM,700,2048x2048x4096\n"},
    {"flash", "gpu,causal,head_dim,impl,seq,tflops\nA100-80GB-SXM4,yes,64,flash2,2048,100\n"},
    {"trace", "gpu,ngpus,bytes,oop_time_ns\na100,3,5242880,90000\n"},
    {"azure", "gpus,bytes,oop_time_us\n24,1024,40\n"},
    {"busbw", "system,gpus,nodes,bytes,busbw_GBps\n8xH200,8,1,4194304,100\n"},
    {"nvls",
     "system,collective,bytes_gib,gpus,algo,busbw_GBps,busbw_nvls_off_GBps\nB200,all_reduce,1,8,"
     "NVLS,700,\n"},
    {"hardware", "file,key,value\nsp_time_1nodes_8gpus_per_node.json,all2all_size_8_3MB_time,1\n"},
    {"hardware_send", "file,key,value\np2p_bandwidth_1nodes_8gpus_per_node.json,pp_size_2,100\n"},
    {"forward", "layernum,bsz,seq,forward_ms\n2,1,512,9\n"},
    {"memory", "strategy,layernum,bsz,seq,rank,metric,mb\n1_2_4_vtp_sp,2,8,2048,7,act,900\n"},
    {"foundry",
     "Model,SeqLen_(T),num_GPUs,GPU,MicroBatchSize,GlobalBatchSize,Throughput_(T/s/GPU),Precision,"
     "MP_Mode,Sharding_Strategy,Activation_Checkpointing\n125m,1024,8,a100_80gb,4,64,90000,amp_"
     "bf16,DEFAULT,FULL_SHARD,False\n"},
    {"neusight",
     "device,model,mode,seqlen,batch,variant,e2e_ms\nNVIDIA_L4,gpt2_large,inf,512,2,,300\n"},
    {"bridge",
     "phase,model,system,gpus,precision,gbs,mbs,seq,fsdp,tp,pp,cp,vp,ep,tokens_s_gpu\n"
     "Pre-Training,LLAMA3_8B,DGX-H100,8,BF16,16,1,4096,0,2,1,1,n/a,n/a,9000\n"},
};

TEST(Mappings, RecogniseTheirColumnsAndPredictOneFiniteFigure) {
  for (const Example& e : kExamples) {
    SCOPED_TRACE(e.name);
    const std::vector<Prediction> out = predictionsOf(tableOf(e.name, e.text));
    ASSERT_EQ(out.size(), 1u);
    EXPECT_EQ(out[0].problem, "");
    EXPECT_TRUE(std::isfinite(out[0].predicted) && out[0].predicted > 0) << out[0].predicted;
    EXPECT_GT(out[0].uncertainty, 0);
  }
}

TEST(Mappings, ARowOfUnknownThingsIsAProblemOfThatRowAlone) {
  for (const char* text :
       {"device,B,M,N,K,latency_ms,kernel\nAbacus 9,1,8,8,8,1,k\nTesla T4,1,512,512,512,1,k\n",
        "device,model,mode,seqlen,batch,variant,e2e_ms\nNVIDIA_L4,gpt9,inf,512,2,,300\nNVIDIA_L4,"
        "gpt2_large,inf,512,2,,300\n",
        "phase,model,system,gpus,precision,gbs,mbs,seq,tp,pp,cp,vp,ep,tokens_s_gpu\n"
        "Pre-Training,Abacus_1B,DGX-H100,8,BF16,16,1,4096,1,1,1,n/a,1,9000\n"
        "Pre-Training,LLAMA3_8B,DGX-H100,8,BF16,16,1,4096,1,1,1,n/a,1,9000\n"}) {
    const std::vector<Prediction> out = predictionsOf(tableOf("unknown", text));
    ASSERT_EQ(out.size(), 2u);
    EXPECT_NE(out[0].problem, "");
    EXPECT_EQ(out[1].problem, "");
  }
}

Prediction prediction(double measured, double predicted, const std::string& choice = "") {
  Prediction p;
  p.measured = measured;
  p.predicted = predicted;
  p.uncertainty = 0.1;
  p.choice = choice;
  return p;
}

std::vector<const Prediction*> pointers(const std::vector<Prediction>& rows) {
  std::vector<const Prediction*> all;
  for (const Prediction& p : rows) all.push_back(&p);
  return all;
}

TEST(Statistics, SummariseRelativeErrors) {
  std::vector<Prediction> rows{prediction(10, 11), prediction(20, 16), prediction(40, 40)};
  rows.push_back(prediction(1, 1));
  rows.back().problem = "not predicted";
  const ErrorSummary s = summarise(pointers(rows));
  EXPECT_EQ(s.rows, 3u);
  EXPECT_EQ(s.unpredicted, 1u);
  EXPECT_NEAR(s.mean, 0.1, 1e-12);
  EXPECT_NEAR(s.median, 0.1, 1e-12);
  EXPECT_NEAR(s.worst, 0.2, 1e-12);
  EXPECT_NEAR(s.bias, -0.1 / 3, 1e-12);
  EXPECT_NEAR(s.lowest, -0.2, 1e-12);
  EXPECT_NEAR(s.p95, 0.19, 1e-12);
  EXPECT_NEAR(s.tau, 1, 1e-12);
  EXPECT_NEAR(s.inside, 2.0 / 3, 1e-12);
}

TEST(Statistics, RegretIsWhatThePickedPlanCostsMore) {
  const std::vector<Prediction> rows{prediction(10, 12, "a"), prediction(11, 11, "a"),
                                     prediction(20, 21, "b"), prediction(30, 33, "b"),
                                     prediction(7, 7, "alone")};
  const ChoiceSummary c = summariseChoices(pointers(rows));
  EXPECT_EQ(c.groups, 2u);
  EXPECT_EQ(c.best, 1u);
  EXPECT_NEAR(c.meanRegret, 0.05, 1e-12);
  EXPECT_NEAR(c.concordance, 0.5, 1e-12);
}

}  // namespace
}  // namespace meshplan
