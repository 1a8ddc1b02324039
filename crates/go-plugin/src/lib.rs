//! HashiCorp go-plugin's net/rpc protocol, the plugin's side.
