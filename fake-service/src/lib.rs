//! An instrumented system under test with faults as behaviour.
