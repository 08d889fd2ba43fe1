#!/usr/bin/env bash
# Runs Piper's own planner and `meshplan-opponents piper` on the same instances and prints both:
#   compare_piper.sh PIPER MESHPLAN_OPPONENTS WORK < CASES
# PIPER is a copy of github.com/msr-fiddle/piper, WORK a folder for the built planner and its
# results. A case is a line "INSTANCE GIB DEVICES BATCH GIB_PER_SECOND", BATCH 0 as in the file,
# e.g. "bert32a100 8 2048 1920 25" (the settings of the paper are in Piper's algo.cpp).
set -euo pipefail
[[ $# -eq 3 ]] || { sed -n '2,6s/^# //p' "$0" >&2; exit 2; }
piper=$1 ours=$2 work=$3
mkdir -p "$work"

driver='
int main(int argc, char** argv) {
  if (argc < 7) return 2;
  json j;
  ifstream(argv[1]) >> j;
  Instance ins = j.get<Instance>();
  ins.maxMemoryPerDevice = atof(argv[2]) * (1LL << 30);
  ins.maxDevices = atoi(argv[3]);
  if (atoi(argv[4]) > 0) ins.mbsInBatch = atoi(argv[4]);
  ins.bandwidth = atof(argv[5]) * (1LL << 30);
  const clock_t start = clock();
  Graph g(ins);
  Result r = g.runDP();
  const double seconds = double(clock() - start) / CLOCKS_PER_SEC;
  const double time = r.stages.empty() ? 0 : g.getTPSForResult(r);
  g.renumberResultBack(r);
  json result = r;
  ofstream(argv[6]) << result.dump(1);
  printf("  Piper %.12g s per sample, %zu stages, %.3f CPU s\n", time, r.stages.size(), seconds);
}'
if [[ ! -x $work/piper ]]; then
  { sed 's/^int main/int itsOwnMain/' "$piper/algo.cpp"; echo "$driver"; } >"$work/piper.cpp"
  g++ -O3 -w -include cassert -include cmath -include numeric -include tuple -I"$piper" \
    "$work/piper.cpp" -o "$work/piper"
fi

while read -r instance memory devices batch bandwidth; do
  file=$piper/inputs/$instance.json result=$work/$instance-$memory-$devices-$batch.json
  theirs=$("$work/piper" "$file" "$memory" "$devices" "$batch" "$bandwidth" "$result" 2>/dev/null)
  options=(--memory "$memory" --devices "$devices" --bandwidth "$bandwidth")
  [[ $batch -eq 0 ]] || options+=(--batch "$batch")
  [[ $theirs == *" 0 stages"* ]] || options+=(--theirs "$result")
  "$ours" piper "$file" "${options[@]}"
  echo "$theirs"
done
