//! Rule files, rule groups and the alert state machine.
