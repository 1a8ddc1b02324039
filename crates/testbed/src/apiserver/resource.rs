//! Which resources the server serves, and the few ways in which they differ.
//!
//! One row a resource, as `kubectl api-resources` would print it. What a row can't say (defaulting,
//! validation and pruning by schema) the embedded server doesn't do.

/// One kind of object that the server serves.
///
/// All versions of a group show the same stored object; only `apiVersion` differs, as for a
/// `CustomResourceDefinition` with conversion strategy `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "columns of a table, independent of each other"
)]
pub struct Resource {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// Served versions, the preferred one first.
    pub versions: &'static [&'static str],
    /// Name in paths, in lower case: `virtualservices`.
    pub plural: &'static str,
    /// Kind in objects: `VirtualService`.
    pub kind: &'static str,
    /// What `kubectl` accepts instead of the plural.
    pub short_names: &'static [&'static str],
    /// Whether objects live in a namespace.
    pub namespaced: bool,
    /// Whether there is a `/status` subresource, so that the main resource leaves `status` alone.
    pub status: bool,
    /// Whether `metadata.generation` counts changes outside `metadata` and `status`.
    pub generation: bool,
    /// Whether it stands for a `CustomResourceDefinition`: those refuse an update without a
    /// `resourceVersion` and strategic merge patches (`customResourceStrategy` of
    /// apiextensions-apiserver).
    pub custom: bool,
    /// Whether a delete answers with the object instead of a `Status` (`ReturnDeletedObject`).
    pub returns_deleted: bool,
    /// Field selectors beyond `metadata.name` and `metadata.namespace`.
    pub fields: &'static [&'static str],
}

impl Resource {
    /// A namespaced resource built into Kubernetes, with neither status nor generation.
    pub const fn builtin(
        group: &'static str,
        versions: &'static [&'static str],
        plural: &'static str,
        kind: &'static str,
    ) -> Self {
        Self {
            group,
            versions,
            plural,
            kind,
            short_names: &[],
            namespaced: true,
            status: false,
            generation: false,
            custom: false,
            returns_deleted: false,
            fields: &[],
        }
    }

    /// A namespaced custom resource without status subresource.
    pub const fn custom(
        group: &'static str,
        versions: &'static [&'static str],
        plural: &'static str,
        kind: &'static str,
    ) -> Self {
        let mut resource = Self::builtin(group, versions, plural, kind);
        resource.custom = true;
        resource.generation = true;
        resource
    }

    /// With a `/status` subresource.
    #[must_use]
    pub const fn with_status(mut self) -> Self {
        self.status = true;
        self
    }

    /// Counting generations.
    #[must_use]
    pub const fn with_generation(mut self) -> Self {
        self.generation = true;
        self
    }

    /// Known to `kubectl` under shorter names too.
    #[must_use]
    pub const fn with_short_names(mut self, names: &'static [&'static str]) -> Self {
        self.short_names = names;
        self
    }

    /// Selectable by these fields too.
    #[must_use]
    pub const fn with_fields(mut self, fields: &'static [&'static str]) -> Self {
        self.fields = fields;
        self
    }

    /// Not in a namespace.
    #[must_use]
    pub const fn cluster_scoped(mut self) -> Self {
        self.namespaced = false;
        self
    }

    /// Answering a delete with the object.
    #[must_use]
    pub const fn returning_deleted(mut self) -> Self {
        self.returns_deleted = true;
        self
    }

    /// `apiVersion` of an object of this resource at `version`.
    pub fn api_version(&self, version: &str) -> String {
        if self.group.is_empty() {
            version.to_owned()
        } else {
            format!("{}/{version}", self.group)
        }
    }

    /// The version that is shown where none was asked for.
    pub fn preferred_version(&self) -> &'static str {
        self.versions.first().copied().unwrap_or("v1")
    }

    /// `plural.group`, the plural alone for the core group (Go `schema.GroupResource.String`).
    pub fn qualified(&self) -> String {
        if self.group.is_empty() {
            self.plural.to_owned()
        } else {
            format!("{}.{}", self.plural, self.group)
        }
    }

    /// `Kind.group`, the kind alone for the core group (Go `schema.GroupKind.String`).
    pub fn qualified_kind(&self) -> String {
        if self.group.is_empty() {
            self.kind.to_owned()
        } else {
            format!("{}.{}", self.kind, self.group)
        }
    }
}

const V1: &[&str] = &["v1"];
const V1ALPHA1: &[&str] = &["v1alpha1"];
const ISTIO: &[&str] = &["v1", "v1beta1", "v1alpha3"];
const ARGO_GROUP: &str = "argoproj.io";
const ISTIO_GROUP: &str = "networking.istio.io";

/// What every server serves from the start: all that Argo Rollouts with Istio reads and writes.
pub const RESOURCES: &[Resource] = &[
    Resource::builtin("", V1, "namespaces", "Namespace")
        .with_status()
        .with_short_names(&["ns"])
        .with_fields(&["status.phase"])
        .cluster_scoped()
        .returning_deleted(),
    Resource::builtin("", V1, "nodes", "Node")
        .with_status()
        .with_short_names(&["no"])
        .with_fields(&["spec.unschedulable"])
        .cluster_scoped(),
    Resource::builtin("", V1, "pods", "Pod")
        .with_status()
        .with_generation()
        .with_short_names(&["po"])
        .with_fields(&["spec.nodeName", "status.phase", "status.podIP"])
        .returning_deleted(),
    Resource::builtin("", V1, "services", "Service")
        .with_status()
        .with_short_names(&["svc"])
        .with_fields(&["spec.clusterIP", "spec.type"])
        .returning_deleted(),
    Resource::builtin("", V1, "configmaps", "ConfigMap").with_short_names(&["cm"]),
    Resource::builtin("", V1, "secrets", "Secret").with_fields(&["type"]),
    Resource::builtin("", V1, "serviceaccounts", "ServiceAccount")
        .with_short_names(&["sa"])
        .returning_deleted(),
    Resource::builtin("", V1, "endpoints", "Endpoints").with_short_names(&["ep"]),
    Resource::builtin("", V1, "events", "Event")
        .with_short_names(&["ev"])
        .with_fields(&[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "reason",
            "source",
            "type",
        ]),
    Resource::builtin("apps", V1, "deployments", "Deployment")
        .with_status()
        .with_generation()
        .with_short_names(&["deploy"]),
    Resource::builtin("apps", V1, "replicasets", "ReplicaSet")
        .with_status()
        .with_generation()
        .with_short_names(&["rs"]),
    Resource::builtin("batch", V1, "jobs", "Job")
        .with_status()
        .with_generation(),
    Resource::builtin("networking.k8s.io", V1, "ingresses", "Ingress")
        .with_status()
        .with_generation()
        .with_short_names(&["ing"]),
    Resource::builtin("coordination.k8s.io", V1, "leases", "Lease"),
    Resource::builtin("discovery.k8s.io", V1, "endpointslices", "EndpointSlice").with_generation(),
    Resource::custom(ARGO_GROUP, V1ALPHA1, "rollouts", "Rollout")
        .with_status()
        .with_short_names(&["ro"]),
    Resource::custom(ARGO_GROUP, V1ALPHA1, "experiments", "Experiment").with_short_names(&["exp"]),
    Resource::custom(ARGO_GROUP, V1ALPHA1, "analysisruns", "AnalysisRun").with_short_names(&["ar"]),
    Resource::custom(
        ARGO_GROUP,
        V1ALPHA1,
        "analysistemplates",
        "AnalysisTemplate",
    )
    .with_short_names(&["at"]),
    Resource::custom(
        ARGO_GROUP,
        V1ALPHA1,
        "clusteranalysistemplates",
        "ClusterAnalysisTemplate",
    )
    .with_short_names(&["cat"])
    .cluster_scoped(),
    Resource::custom(ISTIO_GROUP, ISTIO, "virtualservices", "VirtualService")
        .with_status()
        .with_short_names(&["vs"]),
    Resource::custom(ISTIO_GROUP, ISTIO, "destinationrules", "DestinationRule")
        .with_status()
        .with_short_names(&["dr"]),
    Resource::custom(ISTIO_GROUP, ISTIO, "gateways", "Gateway")
        .with_status()
        .with_short_names(&["gw"]),
    Resource::custom(ISTIO_GROUP, ISTIO, "serviceentries", "ServiceEntry")
        .with_status()
        .with_short_names(&["se"]),
    Resource::custom(ISTIO_GROUP, ISTIO, "sidecars", "Sidecar").with_status(),
    Resource::custom("extensions.istio.io", V1ALPHA1, "wasmplugins", "WasmPlugin").with_status(),
];

/// What Istio 1.30 brings beside; not among [`RESOURCES`], which are those of 1.29.
pub const TRAFFIC_EXTENSIONS: Resource = Resource::custom(
    "extensions.istio.io",
    V1ALPHA1,
    "trafficextensions",
    "TrafficExtension",
)
.with_status();
