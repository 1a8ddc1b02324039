//! The Argo Rollouts traffic-router plugin `serin/istio`.

fn main() {}
