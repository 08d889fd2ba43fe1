-- SPDX-License-Identifier: Apache-2.0
-- Version 1 of a profile database; docs/formats.md, "Profiles", describes it. A later version adds
-- tables and columns in schema_N.sql and takes nothing away, so that an older program that has the
-- file open goes on reading.
PRAGMA application_id = 0x4D455348;  -- "MESH"

-- Where and with what something was measured.
CREATE TABLE environment (
  id INTEGER PRIMARY KEY,
  device TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  libraries TEXT NOT NULL,
  UNIQUE (device, fingerprint, libraries)
) STRICT;

-- Where rows came from; time in seconds since 1970.
CREATE TABLE source (
  id INTEGER PRIMARY KEY,
  origin TEXT NOT NULL CHECK (origin IN ('measured', 'run', 'imported')),
  text TEXT NOT NULL,
  time INTEGER NOT NULL,
  UNIQUE (time, origin, text)
) STRICT;

-- A device that was measured rather than looked up: specifications as in a cluster file.
CREATE TABLE device (
  id INTEGER PRIMARY KEY,
  environment_id INTEGER NOT NULL REFERENCES environment (id),
  time INTEGER NOT NULL,
  spec TEXT NOT NULL,
  link TEXT NOT NULL,
  UNIQUE (environment_id, time, spec, link)
) STRICT;

-- What is computed: an operator on local shapes. `work` holds all that a cost model looks at.
CREATE TABLE operator (
  id INTEGER PRIMARY KEY,
  key TEXT NOT NULL CHECK (length(key) = 16),
  operator TEXT NOT NULL,
  phase TEXT NOT NULL,
  dtype TEXT NOT NULL,
  types TEXT NOT NULL,
  flops REAL NOT NULL,
  bytes REAL NOT NULL,
  work TEXT NOT NULL,
  UNIQUE (key, types, work)
) STRICT;

CREATE TABLE operator_time (
  id INTEGER PRIMARY KEY,
  environment_id INTEGER NOT NULL REFERENCES environment (id),
  source_id INTEGER NOT NULL REFERENCES source (id),
  operator_id INTEGER NOT NULL REFERENCES operator (id),
  busy INTEGER NOT NULL CHECK (busy >= 1),
  samples INTEGER NOT NULL CHECK (samples >= 0),
  outliers INTEGER NOT NULL CHECK (outliers >= 0),
  median_seconds REAL NOT NULL CHECK (median_seconds >= 0),
  spread_seconds REAL NOT NULL CHECK (spread_seconds >= 0),
  minimum_seconds REAL NOT NULL CHECK (minimum_seconds >= 0),
  UNIQUE (operator_id, environment_id, source_id, busy, samples, median_seconds, spread_seconds,
          minimum_seconds)
) STRICT;

CREATE TABLE collective_time (
  id INTEGER PRIMARY KEY,
  environment_id INTEGER NOT NULL REFERENCES environment (id),
  source_id INTEGER NOT NULL REFERENCES source (id),
  transport TEXT NOT NULL,
  collective TEXT NOT NULL,
  bytes INTEGER NOT NULL CHECK (bytes >= 0),
  ranks INTEGER NOT NULL CHECK (ranks >= 1),
  nodes INTEGER NOT NULL CHECK (nodes >= 1),
  groups INTEGER NOT NULL CHECK (groups >= 1),
  samples INTEGER NOT NULL CHECK (samples >= 0),
  outliers INTEGER NOT NULL CHECK (outliers >= 0),
  median_seconds REAL NOT NULL CHECK (median_seconds >= 0),
  spread_seconds REAL NOT NULL CHECK (spread_seconds >= 0),
  minimum_seconds REAL NOT NULL CHECK (minimum_seconds >= 0),
  UNIQUE (environment_id, source_id, transport, collective, bytes, ranks, nodes, groups, samples,
          median_seconds, spread_seconds, minimum_seconds)
) STRICT;

-- A training run: what was predicted for a step (0: nothing) and what was measured.
CREATE TABLE run (
  id INTEGER PRIMARY KEY,
  environment_id INTEGER NOT NULL REFERENCES environment (id),
  source_id INTEGER NOT NULL REFERENCES source (id),
  model TEXT NOT NULL,
  graph_fingerprint TEXT NOT NULL,
  strategy TEXT NOT NULL,
  plan TEXT NOT NULL,
  transport TEXT NOT NULL,
  ranks INTEGER NOT NULL CHECK (ranks >= 1),
  threads INTEGER NOT NULL CHECK (threads >= 1),
  steps INTEGER NOT NULL CHECK (steps >= 0),
  samples INTEGER NOT NULL CHECK (samples >= 0),
  outliers INTEGER NOT NULL CHECK (outliers >= 0),
  median_seconds REAL NOT NULL CHECK (median_seconds >= 0),
  spread_seconds REAL NOT NULL CHECK (spread_seconds >= 0),
  minimum_seconds REAL NOT NULL CHECK (minimum_seconds >= 0),
  predicted_seconds REAL NOT NULL CHECK (predicted_seconds >= 0),
  predicted_uncertainty REAL NOT NULL,
  provenance TEXT NOT NULL,
  planned_peak_bytes INTEGER NOT NULL,
  measured_peak_bytes INTEGER NOT NULL,
  profiling_overhead REAL NOT NULL,
  UNIQUE (environment_id, source_id, model, graph_fingerprint, strategy, transport, ranks, threads,
          steps, samples, median_seconds, spread_seconds, minimum_seconds, predicted_seconds)
) STRICT;

-- One instruction of a run's program; medians over the steps.
CREATE TABLE run_instruction (
  run_id INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE,
  rank_class INTEGER NOT NULL CHECK (rank_class BETWEEN 0 AND 65535),
  call INTEGER NOT NULL CHECK (call BETWEEN 0 AND 4294967295),
  instruction INTEGER NOT NULL CHECK (instruction BETWEEN 0 AND 4294967295),
  name TEXT NOT NULL,
  start_seconds REAL NOT NULL,
  duration_seconds REAL NOT NULL CHECK (duration_seconds >= 0),
  busy_seconds REAL NOT NULL CHECK (busy_seconds >= 0),
  predicted_seconds REAL NOT NULL CHECK (predicted_seconds >= 0),
  predicted_start_seconds REAL NOT NULL,
  provenance TEXT NOT NULL,
  PRIMARY KEY (run_id, rank_class, call, instruction)
) STRICT, WITHOUT ROWID;

-- For people.

CREATE VIEW v_op_time AS
SELECT t.id, e.device, e.fingerprint, e.libraries, o.operator, o.phase, o.dtype, o.types, t.busy,
       t.samples, t.outliers, t.median_seconds, t.spread_seconds, t.minimum_seconds, o.flops,
       o.bytes, o.flops / nullif(t.median_seconds, 0) AS flops_per_second,
       o.bytes / nullif(t.median_seconds, 0) AS bytes_per_second, o.key, s.origin,
       s.text AS source, datetime(s.time, 'unixepoch') AS measured_at
FROM operator_time t
JOIN operator o ON o.id = t.operator_id
JOIN environment e ON e.id = t.environment_id
JOIN source s ON s.id = t.source_id;

CREATE VIEW v_collective_time AS
SELECT t.id, e.device, e.fingerprint, e.libraries, t.transport, t.collective, t.bytes, t.ranks,
       t.nodes, t.groups, t.samples, t.outliers, t.median_seconds, t.spread_seconds,
       t.minimum_seconds, t.bytes / nullif(t.median_seconds, 0) AS bytes_per_second, s.origin,
       s.text AS source, datetime(s.time, 'unixepoch') AS measured_at
FROM collective_time t
JOIN environment e ON e.id = t.environment_id
JOIN source s ON s.id = t.source_id;

CREATE VIEW v_run AS
SELECT r.id, e.device, e.fingerprint, e.libraries, r.model, r.graph_fingerprint, r.strategy,
       r.transport, r.ranks, r.threads, r.steps, r.median_seconds AS step_seconds,
       r.spread_seconds, r.minimum_seconds, r.outliers,
       nullif(r.predicted_seconds, 0) AS predicted_seconds, r.predicted_uncertainty,
       nullif(r.predicted_seconds, 0) / nullif(r.median_seconds, 0) - 1 AS relative_error,
       r.provenance, r.planned_peak_bytes, r.measured_peak_bytes, r.profiling_overhead, s.origin,
       s.text AS source, datetime(s.time, 'unixepoch') AS measured_at
FROM run r
JOIN environment e ON e.id = r.environment_id
JOIN source s ON s.id = r.source_id;

-- Predicted beside measured: each run's step, and below it, where that is known, what one rank of
-- each class spends in instructions of the same name.
CREATE VIEW v_error AS
SELECT r.id AS run_id, e.device, r.model, r.strategy, 'step' AS level, NULL AS rank_class,
       'step' AS name, 1 AS instructions, r.predicted_seconds, r.median_seconds AS measured_seconds,
       r.predicted_seconds / nullif(r.median_seconds, 0) - 1 AS relative_error
FROM run r
JOIN environment e ON e.id = r.environment_id
WHERE r.predicted_seconds > 0
UNION ALL
SELECT r.id, e.device, r.model, r.strategy, 'instruction', i.rank_class, i.name, count(*),
       sum(i.predicted_seconds), sum(i.busy_seconds),
       sum(i.predicted_seconds) / nullif(sum(i.busy_seconds), 0) - 1
FROM run_instruction i
JOIN run r ON r.id = i.run_id
JOIN environment e ON e.id = r.environment_id
WHERE i.predicted_seconds > 0
GROUP BY r.id, i.rank_class, i.name;
