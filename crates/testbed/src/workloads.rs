//! Stands in for the controllers of Deployments and ReplicaSets, and for the nodes: gives every pod an echo.
