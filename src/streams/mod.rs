//! One file per stream: record → ECS document and its `_id`. Pure functions.
