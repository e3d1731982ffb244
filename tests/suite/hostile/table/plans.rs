//! What a guest can do with plans, children, outputs and checkpoints.

use super::super::case::{Case, decomposes, stopped, succeeds};

pub(super) const PLANS: &[Case] = &[
    stopped("plans", "plan-ten-million", "memory"),
    stopped("plans", "plan-large", "output").says("the plan of 1 child has 3.0 MiB").outside(),
    decomposes("plans", "plan-itself"),
    stopped("plans", "submit-on", "timeout"),
    succeeds("plans", "submit-odd-names"),
    stopped("plans", "submit-large", "limit host-call-bytes"),
    stopped("plans", "submit-with-everything", "limit host-call-bytes"),
    stopped("plans", "checkpoint-on", "timeout"),
    succeeds("plans", "checkpoint-large"),
    stopped("plans", "remember-on", "timeout"),
    stopped("plans", "ask-for-outputs", "timeout"),
    succeeds("plans", "nothing").input("0"),
];
