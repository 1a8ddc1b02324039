//! A watch cache: one list-and-watch for each kind and namespace that some Rollout needs, begun when it is first
//! needed, and ended when nobody needs it any more. A reconcile that changes nothing makes no request.
//!
//! Own writes enter the cache with the API server's answer, so a read after a write sees it even while the watch
//! lags behind.

mod objects;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use argo_rollouts::go_plugin::Chain;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use kube::Client;
use kube::api::{Api, ApiResource, ListParams};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tracing::{debug, warn};

use self::objects::Objects;
pub(crate) use self::objects::{Change, Origin};
use crate::cluster::decode::{Body, Pods, Specified};
use crate::cluster::error::{Cause, Interruption};
use crate::cluster::{Clients, ClusterError};
use crate::object::{Kind, Object, ObjectId, POD_TEMPLATE_HASH};

/// How long the first list of a kind may take before a call gives up on it; the controller calls again.
const FIRST_LIST: Duration = Duration::from_secs(10);

/// How long a single request may take: longer than the 10 s that an admission webhook has by default, so that the API
/// server can still tell that it is the webhook that doesn't answer.
const ANSWER: Duration = Duration::from_secs(15);

/// In place of a namespace: all of them in one list-and-watch. What is written enters the namespace's own alone.
pub const ALL_NAMESPACES: &str = "";

/// A kind and a namespace: what one list-and-watch covers.
pub(crate) type Scope = (Kind, String);

/// Is told of every change that reaches the cache, by a watch or by an answer.
type Listener = Arc<OnceLock<mpsc::UnboundedSender<Change>>>;

/// The cached objects of all watched kinds and namespaces.
pub struct Cache {
    clients: Clients,
    reflectors: Mutex<HashMap<Scope, Arc<Reflector>>>,
    listener: Listener,
}

impl Cache {
    /// An empty cache; each kind and namespace is listed when it is first asked for.
    pub(crate) fn new(clients: Clients) -> Self {
        Self {
            clients,
            reflectors: Mutex::default(),
            listener: Arc::default(),
        }
    }

    /// From now on every change goes to `listener` too; there is one listener at most, the first.
    pub(crate) fn listen(&self, listener: mpsc::UnboundedSender<Change>) {
        let _ = self.listener.set(listener);
    }

    /// Ends the watches that nobody needs and that nobody has asked for `idle`.
    pub(crate) fn retain(&self, needed: &BTreeSet<Scope>, idle: Duration) {
        lock(&self.reflectors).retain(|scope, reflector| {
            let keeps = needed.contains(scope) || lock(&reflector.asked).elapsed() < idle;
            if !keeps {
                debug!(kind = %scope.0, namespace = scope.1, "watch ended: no rollout needs it any more");
            }
            keeps
        });
    }

    /// The object as the API server has it now, past the cache and without a watch for it.
    ///
    /// # Errors
    /// The API server's refusal.
    pub(crate) async fn look_up(&self, id: &ObjectId) -> Result<Option<Object>, ClusterError> {
        let client = self.clients.of(id.kind);
        let found = match id.kind {
            Kind::ReplicaSet => get::<Pods>(client, id).await,
            _ => get::<Specified>(client, id).await,
        };
        found.map_err(|error| ClusterError::of_read(id.kind, &id.namespace, error.into()))
    }

    /// The object, or `None` if it doesn't exist.
    ///
    /// # Errors
    /// The kind can't be listed in that namespace.
    pub async fn get(&self, id: &ObjectId) -> Result<Option<Arc<Object>>, ClusterError> {
        let reflector = self.ready(id.kind, &id.namespace).await?;
        Ok(lock(&reflector.objects).get(id))
    }

    /// Lets the list of that kind and namespace begin, which will be asked for soon.
    pub(crate) fn begin(&self, kind: Kind, namespace: &str) {
        self.reflector(kind, namespace);
    }

    /// All objects of that kind and namespace, or of [`ALL_NAMESPACES`].
    ///
    /// # Errors
    /// The kind can't be listed in that namespace.
    pub async fn list(
        &self,
        kind: Kind,
        namespace: &str,
    ) -> Result<Vec<Arc<Object>>, ClusterError> {
        let reflector = self.ready(kind, namespace).await?;
        Ok(lock(&reflector.objects).all())
    }

    /// Reads the object anew from the API server, past the watch.
    ///
    /// # Errors
    /// The API server's refusal.
    pub(crate) async fn refresh(&self, id: &ObjectId) -> Result<(), ClusterError> {
        let found = self.look_up(id).await?;
        let reflector = self.reflector(id.kind, &id.namespace);
        let mut objects = lock(&reflector.objects);
        let change = match found {
            Some(found) => objects.apply_answer(found),
            None => objects.forget(id),
        };
        reflector.tell(change);
        Ok(())
    }

    /// Lists the kind anew from the API server, past the watch.
    ///
    /// # Errors
    /// The API server's refusal.
    pub(crate) async fn relist(&self, kind: Kind, namespace: &str) -> Result<(), ClusterError> {
        let client = self.clients.of(kind);
        let listed = match kind {
            Kind::ReplicaSet => list::<Pods>(client, kind, namespace).await,
            _ => list::<Specified>(client, kind, namespace).await,
        };
        let listed =
            listed.map_err(|error| ClusterError::of_read(kind, namespace, error.into()))?;
        let reflector = self.reflector(kind, namespace);
        let mut objects = lock(&reflector.objects);
        for object in listed {
            reflector.tell(objects.apply_answer(object));
        }
        Ok(())
    }

    /// Takes in what the API server answered to a write.
    pub(crate) fn written(&self, object: Object) {
        if let Some(reflector) = self.begun(object.id.kind, &object.id.namespace) {
            let change = lock(&reflector.objects).apply_answer(object);
            reflector.tell(change);
        }
    }

    /// Drops an object that the API server no longer has.
    pub(crate) fn forget(&self, id: &ObjectId) {
        if let Some(reflector) = self.begun(id.kind, &id.namespace) {
            let change = lock(&reflector.objects).forget(id);
            reflector.tell(change);
        }
    }

    /// The reflector of that kind and namespace, if there is one already.
    fn begun(&self, kind: Kind, namespace: &str) -> Option<Arc<Reflector>> {
        let reflectors = lock(&self.reflectors);
        reflectors.get(&(kind, namespace.to_owned())).cloned()
    }

    /// The reflector of that kind and namespace, once its first list is in.
    async fn ready(&self, kind: Kind, namespace: &str) -> Result<Arc<Reflector>, ClusterError> {
        let reflector = self.reflector(kind, namespace);
        let mut health = reflector.health.subscribe();
        let listed = tokio::time::timeout(
            FIRST_LIST,
            health.wait_for(|health| !matches!(health, Health::Pending)),
        );
        match listed
            .await
            .map(|health| health.map(|health| health.clone()))
        {
            Ok(Ok(Health::Listed)) => Ok(reflector),
            Ok(Ok(Health::Failed(error))) => Err(ClusterError::of_read(kind, namespace, error)),
            Ok(Ok(Health::Pending) | Err(_)) | Err(_) => Err(ClusterError::Silent {
                kind,
                namespace: namespace.to_owned(),
                after: FIRST_LIST,
            }),
        }
    }

    fn reflector(&self, kind: Kind, namespace: &str) -> Arc<Reflector> {
        let mut reflectors = lock(&self.reflectors);
        let entry = reflectors.entry((kind, namespace.to_owned()));
        let reflector = entry.or_insert_with(|| {
            let client = self.clients.of(kind);
            Reflector::start(client, kind, namespace, Arc::clone(&self.listener))
        });
        *lock(&reflector.asked) = Instant::now();
        Arc::clone(reflector)
    }
}

/// How the first list went.
#[derive(Clone, Debug)]
enum Health {
    Pending,
    Listed,
    Failed(Cause),
}

/// One list-and-watch and what it has brought in.
#[derive(Debug)]
struct Reflector {
    objects: Mutex<Objects>,
    health: watch::Sender<Health>,
    listener: Listener,
    /// When somebody last asked for it.
    asked: Mutex<Instant>,
    task: OnceLock<AbortHandle>,
}

impl Drop for Reflector {
    fn drop(&mut self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }
}

impl Reflector {
    fn start(client: &Client, kind: Kind, namespace: &str, listener: Listener) -> Arc<Self> {
        let reflector = Arc::new(Self {
            objects: Mutex::default(),
            health: watch::Sender::new(Health::Pending),
            listener,
            asked: Mutex::new(Instant::now()),
            task: OnceLock::new(),
        });
        let config = watcher::Config {
            label_selector: selector(kind),
            ..watcher::Config::default()
        };
        let mut events = match kind {
            Kind::ReplicaSet => watch_as::<Pods>(client, kind, namespace, config),
            _ => watch_as::<Specified>(client, kind, namespace, config),
        };
        let target = Arc::downgrade(&reflector);
        let namespace = namespace.to_owned();
        let task = tokio::spawn(async move {
            while let Some(event) = events.next().await {
                let Some(reflector) = target.upgrade() else {
                    return;
                };
                match event {
                    Ok(event) => reflector.take(event),
                    Err(error) => reflector.fail(kind, &namespace, error),
                }
            }
        });
        let _ = reflector.task.set(task.abort_handle());
        reflector
    }

    fn take(&self, event: Event<Object>) {
        let mut objects = lock(&self.objects);
        let changes = match event {
            Event::Init => {
                objects.begin_list();
                Vec::new()
            }
            Event::InitApply(object) => {
                objects.listed(object);
                Vec::new()
            }
            Event::InitDone => {
                let changes = objects.swap_in();
                // Whoever waits for the first list reads it by itself: nothing has changed for anybody.
                let before = self.health.send_replace(Health::Listed);
                if matches!(before, Health::Pending) {
                    Vec::new()
                } else {
                    changes
                }
            }
            Event::Apply(object) => Vec::from_iter(objects.apply(object)),
            Event::Delete(object) => Vec::from_iter(objects.delete(&object)),
        };
        self.tell(changes);
    }

    fn tell(&self, changes: impl IntoIterator<Item = Change>) {
        if let Some(listener) = self.listener.get() {
            for change in changes {
                // Without a listener nobody is there to be told.
                let _ = listener.send(change);
            }
        }
    }

    /// A first list that failed is told to whoever waits for it. A watch that breaks later leaves the cache as it
    /// is: the watcher lists again by itself, and writes are guarded.
    fn fail(&self, kind: Kind, namespace: &str, error: watcher::Error) {
        let cause = match Interruption::from(error) {
            Interruption::Usual(reason) => {
                debug!(%kind, namespace, reason, "watch interrupted");
                return;
            }
            Interruption::NotBegun(cause) => cause,
        };
        warn!(%kind, namespace, error = %Chain(&cause), "can't list and watch");
        if !matches!(*self.health.borrow(), Health::Listed) {
            self.health.send_replace(Health::Failed(cause));
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("no answer within {} s", ANSWER.as_secs())]
struct NoAnswer;

/// Waits for an answer, but not for ever: neither the client nor the controller's call has a limit of its own, and a
/// call that never returns would hold up an abort too.
///
/// Not an `async fn`: that one's future would have room for the request twice.
pub(super) fn answered<T>(
    request: impl Future<Output = Result<T, kube::Error>>,
) -> impl Future<Output = Result<T, kube::Error>> {
    tokio::time::timeout(ANSWER, request).map(|answer| match answer {
        Ok(answer) => answer,
        Err(_) => Err(kube::Error::Service(NoAnswer.into())),
    })
}

/// Of the ReplicaSets only the controller's: a namespace may hold many others.
fn selector(kind: Kind) -> Option<String> {
    (kind == Kind::ReplicaSet).then(|| POD_TEMPLATE_HASH.to_owned())
}

/// The typed access to one kind in one namespace.
pub(super) fn api<B: Body>(client: &Client, kind: Kind, namespace: &str) -> Api<B> {
    let (group, version, name, plural) = kind.names();
    let api_version = if group.is_empty() {
        version.to_owned()
    } else {
        format!("{group}/{version}")
    };
    let resource = ApiResource {
        group: group.to_owned(),
        version: version.to_owned(),
        api_version,
        kind: name.to_owned(),
        plural: plural.to_owned(),
    };
    if namespace == ALL_NAMESPACES {
        return Api::all_with(client.clone(), &resource);
    }
    Api::namespaced_with(client.clone(), namespace, &resource)
}

async fn get<B: Body>(client: &Client, id: &ObjectId) -> Result<Option<Object>, kube::Error> {
    let api = api::<B>(client, id.kind, &id.namespace);
    let found = answered(api.get_opt(&id.name)).await?;
    Ok(found.map(|found| found.object(id.kind)))
}

async fn list<B: Body>(
    client: &Client,
    kind: Kind,
    namespace: &str,
) -> Result<Vec<Object>, kube::Error> {
    let params = ListParams {
        label_selector: selector(kind),
        ..ListParams::default()
    };
    let listed = answered(api::<B>(client, kind, namespace).list(&params)).await?;
    let objects = listed.into_iter().map(|found| found.object(kind));
    Ok(objects.collect())
}

fn watch_as<B: Body>(
    client: &Client,
    kind: Kind,
    namespace: &str,
    config: watcher::Config,
) -> BoxStream<'static, Result<Event<Object>, watcher::Error>> {
    watcher::watcher(api::<B>(client, kind, namespace), config)
        .default_backoff()
        .map(move |event| {
            Ok(match event? {
                Event::Init => Event::Init,
                Event::InitApply(object) => Event::InitApply(object.object(kind)),
                Event::InitDone => Event::InitDone,
                Event::Apply(object) => Event::Apply(object.object(kind)),
                Event::Delete(object) => Event::Delete(object.object(kind)),
            })
        })
        .boxed()
}

/// A poisoned lock is taken all the same: every change under it is a single insert or remove.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
