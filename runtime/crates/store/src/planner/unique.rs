//! Sees to it that there is one task of a kind at a time.
