//! What a decision has to look at: the objects that a Rollout's routing leads to, read from the watch cache.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::cluster::{ALL_NAMESPACES, Cache, ClusterError, Scope};
use crate::core::plan::{Call, Observed};
use crate::core::policy;
use crate::core::routing::Routing;
use crate::core::virtual_service;
use crate::object::{Kind, Object, ObjectId};

/// What was read, whether it was there or not: a change of any of it may change the decision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reads {
    /// Single objects.
    pub(crate) objects: BTreeSet<ObjectId>,
    /// Whole namespaces.
    pub(crate) scopes: BTreeSet<Scope>,
}

impl Reads {
    /// True if a change of that object may change the decision.
    pub(crate) fn cover(&self, id: &ObjectId) -> bool {
        let listed = |namespace: &str| self.scopes.contains(&(id.kind, namespace.to_owned()));
        self.names(id) || listed(&id.namespace) || listed(ALL_NAMESPACES)
    }

    /// True if that very object was read, not only a list that it is on.
    pub(crate) fn names(&self, id: &ObjectId) -> bool {
        self.objects.contains(id)
    }

    /// The watches that these reads live on.
    pub(crate) fn watches(&self) -> impl Iterator<Item = Scope> + '_ {
        let of_objects = self
            .objects
            .iter()
            .map(|id| (id.kind, id.namespace.clone()));
        of_objects.chain(self.scopes.iter().cloned())
    }
}

/// What could not be read, and why.
#[derive(Debug)]
pub(crate) struct Unread {
    pub(crate) kind: Kind,
    pub(crate) namespace: String,
    pub(crate) error: ClusterError,
}

/// Reads from the cache and remembers what.
struct Reader<'a> {
    cache: &'a Cache,
    reads: Reads,
    /// Once for each kind and namespace. What can't be read counts as absent.
    unread: Vec<Unread>,
}

impl Reader<'_> {
    async fn get(&mut self, id: &ObjectId) -> Option<Arc<Object>> {
        self.reads.objects.insert(id.clone());
        let found = self.cache.get(id).await;
        self.note(id.kind, &id.namespace, found)
    }

    async fn list(&mut self, kind: Kind, namespace: &str) -> Vec<Arc<Object>> {
        self.reads.scopes.insert((kind, namespace.to_owned()));
        let found = self.cache.list(kind, namespace).await;
        self.note(kind, namespace, found)
    }

    fn note<T: Default>(
        &mut self,
        kind: Kind,
        namespace: &str,
        found: Result<T, ClusterError>,
    ) -> T {
        let error = match found {
            Ok(found) => return found,
            Err(error) => error,
        };
        let known = |unread: &Unread| unread.kind == kind && unread.namespace == namespace;
        if !self.unread.iter().any(known) {
            self.unread.push(Unread {
                kind,
                namespace: namespace.to_owned(),
                error,
            });
        }
        T::default()
    }
}

/// Reads what the call depends on, and no more: a weighted canary without managed routes needs its VirtualService
/// alone.
///
/// # Errors
/// A kind that can't be listed in a namespace.
pub(crate) async fn observe(
    cache: &Cache,
    routing: &Routing,
    call: Call<'_>,
) -> Result<(Observed, Reads), ClusterError> {
    let (observed, reads, unread) = observe_readable(cache, routing, call, true).await;
    match unread.into_iter().next() {
        Some(unread) => Err(unread.error),
        None => Ok((observed, reads)),
    }
}

/// As [`observe`], with what can't be read left out. `for_policy`: what a new policy is made of is read too.
pub(crate) async fn observe_readable(
    cache: &Cache,
    routing: &Routing,
    call: Call<'_>,
    for_policy: bool,
) -> (Observed, Reads, Vec<Unread>) {
    let removes = matches!(call, Call::RemoveManagedRoutes);
    begin(cache, routing, removes);
    let mut cache = Reader {
        cache,
        reads: Reads::default(),
        unread: Vec::new(),
    };
    let mut observed = Observed::default();
    if let Some(reference) = routing.destination_rule.as_ref().filter(|_| !removes) {
        observed.destination_rule = cache.get(&reference.id).await;
    }
    if needs_pods(routing, removes) {
        let namespace = &routing.rollout.namespace;
        observed.replica_sets = cache.list(Kind::ReplicaSet, namespace).await;
    }
    if matches!(call, Call::UpdateHash(_)) {
        return (observed, cache.reads, cache.unread);
    }
    let mut lanes_stand = false;
    for reference in &routing.virtual_services {
        let object = cache.get(&reference.id).await;
        lanes_stand |= object
            .as_ref()
            .is_some_and(|object| virtual_service::has_lane_routes(object, routing));
        observed.virtual_services.push(object);
    }
    if routing.may_need_policy() || lanes_stand {
        for id in routing.filter_ids() {
            observed.filters.push(cache.get(id).await);
        }
    }
    if for_policy && routing.may_need_policy() && !removes {
        if policy::needs_roots(&observed.virtual_services) {
            observed.roots = cache.list(Kind::VirtualService, ALL_NAMESPACES).await;
        }
        for namespace in policy::service_namespaces(&observed.virtual_services, &observed.roots) {
            let services = cache.list(Kind::Service, &namespace).await;
            observed.services.extend(services);
        }
    }
    (observed, cache.reads, cache.unread)
}

/// Lets all lists begin that the Rollout's calls are sure to need, so that a first call waits for the longest and not for
/// one after the other. VirtualServices are listed for a changed hash too, as the weight follows it.
fn begin(cache: &Cache, routing: &Routing, removes: bool) {
    for reference in &routing.virtual_services {
        cache.begin(reference.id.kind, &reference.id.namespace);
    }
    if routing.may_need_policy() {
        for id in routing.filter_ids() {
            cache.begin(id.kind, &id.namespace);
        }
    }
    if needs_pods(routing, removes) {
        cache.begin(Kind::ReplicaSet, &routing.rollout.namespace);
    }
    if let Some(reference) = routing.destination_rule.as_ref().filter(|_| !removes) {
        cache.begin(reference.id.kind, &reference.id.namespace);
    }
}

/// True if a decision asks which versions have pods.
fn needs_pods(routing: &Routing, removes: bool) -> bool {
    // Who is told apart stays so when the managed routes go.
    routing.sticky.is_some() || (!removes && (routing.waits_for_pods || routing.may_need_policy()))
}
