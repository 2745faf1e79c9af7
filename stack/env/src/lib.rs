//! The only door to time, network, entropy and the journal.
