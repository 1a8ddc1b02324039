//! An embedded cluster for fast tests and the demo.
