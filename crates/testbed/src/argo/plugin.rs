//! The controller's side of a traffic-router plugin: starts the program and calls it over go-plugin's net/rpc protocol.
