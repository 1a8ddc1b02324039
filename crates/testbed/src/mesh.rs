//! Stands in for istiod: turns VirtualServices, DestinationRules, Services and WasmPlugins into the files that Envoys read.
