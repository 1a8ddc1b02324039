//! Stands in for the Argo Rollouts controller: starts the plugin as it does, and walks Rollouts through their steps in
//! its order.

pub mod plugin;
