//! The plugins of one VM, each with its configurations: the one in force, and older ones that Envoy may come back to.
//!
//! Several plugins can share a VM, whose key is code and VM configuration. Each configuration of each has a root context of
//! its own, which lives as long as anything uses it, a request that was begun under it included. If Envoy is given the
//! same configuration again meanwhile, it goes on with that root context and configures nothing (proxy-wasm-cpp-host
//! `src/wasm.cc`, `getOrCreateThreadLocalPlugin`); so what is in force is told by the newest request's root context, not
//! by the newest configuration.

use std::rc::Rc;

use traffic_policy::PolicySet;

/// One configuration of one plugin, ready for requests.
#[derive(Debug)]
pub(crate) struct Plugin {
    /// As Envoy's attribute `plugin_name` has it: `<namespace>.<name>` of the WasmPlugin.
    pub(crate) name: Vec<u8>,
    /// The context that it was configured in.
    pub(crate) root: u32,
    /// Lane headers come from outside and are removed.
    pub(crate) edge: bool,
    pub(crate) policies: Rc<PolicySet>,
}

/// All of them; of those with one name the last is in force.
#[derive(Debug, Default)]
pub(crate) struct Plugins(Vec<Plugin>);

impl Plugins {
    /// The plugin `name` is being configured in the context `root`, which is in force from now on: with what was in force,
    /// until its own is there.
    pub(crate) fn begin(&mut self, root: u32, name: Vec<u8>) {
        let before = self.named(&name);
        // Until something is read, the safe side.
        let edge = before.is_none_or(|before| before.edge);
        let policies = before.map(|before| Rc::clone(&before.policies));
        self.deleted(root);
        self.0.push(Plugin {
            name,
            root,
            edge,
            policies: policies.unwrap_or_default(),
        });
    }

    /// Takes what was configured in the context `root`. In place of what could not be read stays what is there. Gives the
    /// plugin's name.
    pub(crate) fn configured(
        &mut self,
        root: u32,
        edge: Option<bool>,
        policies: Option<PolicySet>,
    ) -> &[u8] {
        let mut plugins = self.0.iter_mut();
        let Some(plugin) = plugins.find(|plugin| plugin.root == root) else {
            return &[];
        };
        plugin.edge = edge.unwrap_or(plugin.edge);
        if let Some(policies) = policies {
            plugin.policies = Rc::new(policies);
        }
        &plugin.name
    }

    /// A request begins under the configuration of the context `root`, so that is the one in force. True if another was.
    pub(crate) fn begun(&mut self, root: u32) -> bool {
        if self.0.last().is_some_and(|last| last.root == root) {
            return false;
        }
        let Some(at) = self.0.iter().position(|plugin| plugin.root == root) else {
            return false;
        };
        let (upto, after) = self.0.split_at(at + 1);
        let name = upto.last().map(|plugin| &plugin.name);
        let other = after.iter().any(|plugin| Some(&plugin.name) == name);
        if other {
            let plugin = self.0.remove(at);
            self.0.push(plugin);
        }
        other
    }

    /// A plugin's context is gone; nobody comes back to it.
    pub(crate) fn deleted(&mut self, root: u32) {
        self.0.retain(|plugin| plugin.root != root);
    }

    /// The name of the plugin whose configuration in the context `root` is in force; `None` if it isn't.
    pub(crate) fn name_in_force(&self, root: u32) -> Option<&[u8]> {
        let plugin = self.0.iter().find(|plugin| plugin.root == root)?;
        let last = self.named(&plugin.name)?;
        (last.root == root).then_some(&plugin.name)
    }

    /// The contexts of all but `root`, each with whether it is of the plugin `name` too.
    pub(crate) fn others(&self, root: u32, name: &[u8]) -> impl Iterator<Item = (u32, bool)> {
        let others = self.0.iter().filter(move |plugin| plugin.root != root);
        others.map(move |plugin| (plugin.root, plugin.name == *name))
    }

    /// The plugins in force, one of each name.
    pub(crate) fn in_force(&self) -> impl Iterator<Item = &Plugin> {
        self.0.iter().enumerate().filter_map(|(at, plugin)| {
            let mut later = self.0.iter().skip(at + 1);
            later
                .all(|other| other.name != plugin.name)
                .then_some(plugin)
        })
    }

    /// The plugin in force of that name.
    pub(crate) fn named(&self, name: &[u8]) -> Option<&Plugin> {
        self.0.iter().rev().find(|plugin| plugin.name == *name)
    }

    /// The one plugin in force, if all configurations are one plugin's.
    pub(crate) fn only(&self) -> Option<&Plugin> {
        let last = self.0.last()?;
        let all = self.0.iter().all(|plugin| plugin.name == last.name);
        all.then_some(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configure(plugins: &mut Plugins, root: u32, name: &[u8], edge: Option<bool>) {
        plugins.begin(root, name.to_vec());
        assert_eq!(plugins.configured(root, edge, None), name);
    }

    fn edge(plugins: &Plugins, name: &[u8]) -> Option<bool> {
        plugins.named(name).map(|plugin| plugin.edge)
    }

    #[test]
    fn what_a_request_begins_under_is_in_force() {
        let mut plugins = Plugins::default();
        configure(&mut plugins, 1, b"p", Some(true));
        configure(&mut plugins, 2, b"q", Some(true));
        configure(&mut plugins, 3, b"p", Some(false));
        assert_eq!(
            (edge(&plugins, b"p"), edge(&plugins, b"q")),
            (Some(false), Some(true))
        );
        for root in [2, 3, 2, 3] {
            assert!(!plugins.begun(root));
            assert_eq!(edge(&plugins, b"p"), Some(false));
        }
        assert!(plugins.begun(1));
        let mut in_force: Vec<u32> = plugins.in_force().map(|plugin| plugin.root).collect();
        in_force.sort_unstable();
        assert_eq!(in_force, [1, 2]);
        assert_eq!(
            (edge(&plugins, b"p"), edge(&plugins, b"q")),
            (Some(true), Some(true))
        );
        assert_eq!(plugins.name_in_force(1), Some(&b"p"[..]));
        assert_eq!(plugins.name_in_force(3), None);
        let others: Vec<_> = plugins.others(1, b"p").collect();
        assert_eq!(others, [(2, false), (3, true)]);
        plugins.deleted(1);
        assert_eq!(edge(&plugins, b"p"), Some(false));
        assert!(!plugins.begun(77));
        assert_eq!(plugins.0.len(), 2);
    }

    #[test]
    fn one_plugin_with_two_configurations_is_the_only_one() {
        let mut plugins = Plugins::default();
        assert!(plugins.only().is_none());
        configure(&mut plugins, 1, b"p", Some(true));
        configure(&mut plugins, 2, b"p", None);
        assert_eq!(plugins.only().map(|plugin| plugin.root), Some(2));
        assert_eq!(edge(&plugins, b"p"), Some(true), "what was in force stays");
        configure(&mut plugins, 3, b"q", None);
        assert!(plugins.only().is_none());
        assert_eq!(edge(&plugins, b"q"), Some(true), "the safe side");
    }
}
