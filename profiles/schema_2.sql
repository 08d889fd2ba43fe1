-- SPDX-License-Identifier: Apache-2.0
-- Version 2: which algorithm of a library is the fastest for a shape, so that it is timed once only.
-- `key` names shapes, strides, dtypes and epilogue; `algorithm` is hexadecimal and means something
-- to the library of the environment alone.
CREATE TABLE algorithm (
  id INTEGER PRIMARY KEY,
  environment_id INTEGER NOT NULL REFERENCES environment (id),
  key TEXT NOT NULL,
  algorithm TEXT NOT NULL,
  seconds REAL NOT NULL CHECK (seconds >= 0),
  time INTEGER NOT NULL,
  UNIQUE (environment_id, key)
) STRICT;
