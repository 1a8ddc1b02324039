//! Traffic policies: which lane a request takes. Pure: no I/O, no clock, no globals.
