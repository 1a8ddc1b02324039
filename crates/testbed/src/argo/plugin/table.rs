//! The Go structs that travel to the plugin: Go's names and types beside the API's JSON names, in Go's order.
//!
//! Follows argo-rollouts v1.10.1 `rollout/trafficrouting/plugin/rpc/rpc.go` and
//! `pkg/apis/rollouts/v1alpha1/types.go`, and k8s.io/apimachinery v0.34 `pkg/apis/meta/v1/types.go` and
//! `pkg/util/intstr/intstr.go`. It holds the fields that the crate `argo-rollouts` reads; the others are not sent,
//! which a gob decoder takes for zeros.

use Kind::{Bool, Int, IntOrString, List, Map, Pointer, Raw, Struct as Plain, Text, Time};

/// A Go struct.
#[derive(Debug)]
pub(super) struct Struct {
    /// Go's name without the package.
    pub(super) name: &'static str,
    /// Its fields, in Go's order.
    pub(super) fields: &'static [Field],
}

/// A field of a struct.
#[derive(Debug)]
pub(super) struct Field {
    /// Go's name.
    pub(super) name: &'static str,
    /// Its name in JSON.
    pub(super) json: &'static str,
    /// Its type.
    pub(super) kind: Kind,
}

/// A Go type. But for structs, a pointer is as what it points to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// `bool`.
    Bool,
    /// A signed integer of any width.
    Int,
    /// `string`, or a type of that kind.
    Text,
    /// `json.RawMessage`.
    Raw,
    /// `metav1.Time`, which writes itself (`GobEncode` of the `time.Time` in it).
    Time,
    /// `*intstr.IntOrString`, in JSON a number or a string.
    IntOrString,
    /// `[]T`.
    List(&'static Kind),
    /// `map[string]T`.
    Map(&'static Kind),
    /// A struct, which gob sends even when nothing in it is set.
    Struct(&'static Struct),
    /// A pointer to a struct; nil is not sent.
    Pointer(&'static Struct),
}

macro_rules! structs {
    ($($table:ident = $name:literal { $($field:literal $json:literal $kind:expr;)* })*) => {$(
        pub(super) static $table: Struct = Struct {
            name: $name,
            fields: &[$(Field { name: $field, json: $json, kind: $kind }),*],
        };
    )*};
}

// The arguments. They are no JSON in Go; here their fields go by Go's names.
structs! {
    UPDATE_HASH_ARGS = "UpdateHashArgs" {
        "Rollout" "Rollout" Plain(&ROLLOUT);
        "CanaryHash" "CanaryHash" Text;
        "StableHash" "StableHash" Text;
        "AdditionalDestinations" "AdditionalDestinations" List(&Plain(&WEIGHT_DESTINATION));
    }
    SET_WEIGHT_AND_VERIFY_WEIGHT_ARGS = "SetWeightAndVerifyWeightArgs" {
        "Rollout" "Rollout" Plain(&ROLLOUT);
        "DesiredWeight" "DesiredWeight" Int;
        "AdditionalDestinations" "AdditionalDestinations" List(&Plain(&WEIGHT_DESTINATION));
    }
    SET_HEADER_ARGS = "SetHeaderArgs" {
        "Rollout" "Rollout" Plain(&ROLLOUT);
        "SetHeaderRoute" "SetHeaderRoute" Plain(&SET_HEADER_ROUTE);
    }
    SET_MIRROR_ARGS = "SetMirrorArgs" {
        "Rollout" "Rollout" Plain(&ROLLOUT);
        "SetMirrorRoute" "SetMirrorRoute" Plain(&SET_MIRROR_ROUTE);
    }
    REMOVE_MANAGED_ROUTES_ARGS = "RemoveManagedRoutesArgs" {
        "Rollout" "Rollout" Plain(&ROLLOUT);
    }
}

// Kubernetes.
structs! {
    OBJECT_META = "ObjectMeta" {
        "Name" "name" Text;
        "GenerateName" "generateName" Text;
        "Namespace" "namespace" Text;
        "UID" "uid" Text;
        "ResourceVersion" "resourceVersion" Text;
        "Generation" "generation" Int;
        "CreationTimestamp" "creationTimestamp" Time;
        "DeletionTimestamp" "deletionTimestamp" Time;
        "DeletionGracePeriodSeconds" "deletionGracePeriodSeconds" Int;
        "Labels" "labels" Map(&Text);
        "Annotations" "annotations" Map(&Text);
        "OwnerReferences" "ownerReferences" List(&Plain(&OWNER_REFERENCE));
        "Finalizers" "finalizers" List(&Text);
    }
    OWNER_REFERENCE = "OwnerReference" {
        "APIVersion" "apiVersion" Text;
        "Kind" "kind" Text;
        "Name" "name" Text;
        "UID" "uid" Text;
        "Controller" "controller" Bool;
        "BlockOwnerDeletion" "blockOwnerDeletion" Bool;
    }
    LABEL_SELECTOR = "LabelSelector" {
        "MatchLabels" "matchLabels" Map(&Text);
        "MatchExpressions" "matchExpressions" List(&Plain(&LABEL_SELECTOR_REQUIREMENT));
    }
    LABEL_SELECTOR_REQUIREMENT = "LabelSelectorRequirement" {
        "Key" "key" Text;
        "Operator" "operator" Text;
        "Values" "values" List(&Text);
    }
    POD_TEMPLATE_SPEC = "PodTemplateSpec" {
        "ObjectMeta" "metadata" Plain(&OBJECT_META);
    }
    // In JSON it is the number or the string itself.
    INT_OR_STRING = "IntOrString" {
        "Type" "" Int;
        "IntVal" "" Int;
        "StrVal" "" Text;
    }
}

// The Rollout and its spec.
structs! {
    ROLLOUT = "Rollout" {
        "ObjectMeta" "metadata" Plain(&OBJECT_META);
        "Spec" "spec" Plain(&ROLLOUT_SPEC);
        "Status" "status" Plain(&ROLLOUT_STATUS);
    }
    ROLLOUT_SPEC = "RolloutSpec" {
        "Replicas" "replicas" Int;
        "Selector" "selector" Pointer(&LABEL_SELECTOR);
        "Template" "template" Plain(&POD_TEMPLATE_SPEC);
        "WorkloadRef" "workloadRef" Pointer(&OBJECT_REF);
        "MinReadySeconds" "minReadySeconds" Int;
        "RollbackWindow" "rollbackWindow" Pointer(&ROLLBACK_WINDOW_SPEC);
        "Strategy" "strategy" Plain(&ROLLOUT_STRATEGY);
        "RevisionHistoryLimit" "revisionHistoryLimit" Int;
        "Paused" "paused" Bool;
        "ProgressDeadlineSeconds" "progressDeadlineSeconds" Int;
        "ProgressDeadlineAbort" "progressDeadlineAbort" Bool;
        "RestartAt" "restartAt" Time;
    }
    OBJECT_REF = "ObjectRef" {
        "APIVersion" "apiVersion" Text;
        "Kind" "kind" Text;
        "Name" "name" Text;
        "ScaleDown" "scaleDown" Text;
    }
    ROLLBACK_WINDOW_SPEC = "RollbackWindowSpec" {
        "Revisions" "revisions" Int;
    }
    ROLLOUT_STRATEGY = "RolloutStrategy" {
        "BlueGreen" "blueGreen" Pointer(&BLUE_GREEN_STRATEGY);
        "Canary" "canary" Pointer(&CANARY_STRATEGY);
    }
    BLUE_GREEN_STRATEGY = "BlueGreenStrategy" {
        "ActiveService" "activeService" Text;
        "PreviewService" "previewService" Text;
    }
    CANARY_STRATEGY = "CanaryStrategy" {
        "CanaryService" "canaryService" Text;
        "StableService" "stableService" Text;
        "Steps" "steps" List(&Plain(&CANARY_STEP));
        "TrafficRouting" "trafficRouting" Pointer(&ROLLOUT_TRAFFIC_ROUTING);
        "MaxUnavailable" "maxUnavailable" IntOrString;
        "MaxSurge" "maxSurge" IntOrString;
        "CanaryMetadata" "canaryMetadata" Pointer(&POD_TEMPLATE_METADATA);
        "StableMetadata" "stableMetadata" Pointer(&POD_TEMPLATE_METADATA);
        "ScaleDownDelaySeconds" "scaleDownDelaySeconds" Int;
        "ScaleDownDelayRevisionLimit" "scaleDownDelayRevisionLimit" Int;
        "AbortScaleDownDelaySeconds" "abortScaleDownDelaySeconds" Int;
        "DynamicStableScale" "dynamicStableScale" Bool;
        "PingPong" "pingPong" Pointer(&PING_PONG_SPEC);
        "MinPodsPerReplicaSet" "minPodsPerReplicaSet" Int;
        "ReplicaProgressThreshold" "replicaProgressThreshold" Pointer(&REPLICA_PROGRESS_THRESHOLD);
    }
    POD_TEMPLATE_METADATA = "PodTemplateMetadata" {
        "Labels" "labels" Map(&Text);
        "Annotations" "annotations" Map(&Text);
    }
    PING_PONG_SPEC = "PingPongSpec" {
        "PingService" "pingService" Text;
        "PongService" "pongService" Text;
    }
    REPLICA_PROGRESS_THRESHOLD = "ReplicaProgressThreshold" {
        "Type" "type" Text;
        "Value" "value" Int;
    }
    ROLLOUT_TRAFFIC_ROUTING = "RolloutTrafficRouting" {
        "Istio" "istio" Pointer(&ISTIO_TRAFFIC_ROUTING);
        "ManagedRoutes" "managedRoutes" List(&Plain(&MANGED_ROUTES));
        "Plugins" "plugins" Map(&Raw);
        "MaxTrafficWeight" "maxTrafficWeight" Int;
    }
    MANGED_ROUTES = "MangedRoutes" {
        "Name" "name" Text;
    }
    ISTIO_TRAFFIC_ROUTING = "IstioTrafficRouting" {
        "VirtualService" "virtualService" Pointer(&ISTIO_VIRTUAL_SERVICE);
        "DestinationRule" "destinationRule" Pointer(&ISTIO_DESTINATION_RULE);
        "VirtualServices" "virtualServices" List(&Plain(&ISTIO_VIRTUAL_SERVICE));
    }
    ISTIO_VIRTUAL_SERVICE = "IstioVirtualService" {
        "Name" "name" Text;
        "Routes" "routes" List(&Text);
        "TLSRoutes" "tlsRoutes" List(&Plain(&TLS_ROUTE));
        "TCPRoutes" "tcpRoutes" List(&Plain(&TCP_ROUTE));
    }
    TLS_ROUTE = "TLSRoute" {
        "Port" "port" Int;
        "SNIHosts" "sniHosts" List(&Text);
    }
    TCP_ROUTE = "TCPRoute" {
        "Port" "port" Int;
    }
    ISTIO_DESTINATION_RULE = "IstioDestinationRule" {
        "Name" "name" Text;
        "CanarySubsetName" "canarySubsetName" Text;
        "StableSubsetName" "stableSubsetName" Text;
        "AdditionalSubsetNames" "additionalSubsetNames" List(&Text);
    }
}

// The steps.
structs! {
    CANARY_STEP = "CanaryStep" {
        "SetWeight" "setWeight" Int;
        "Pause" "pause" Pointer(&ROLLOUT_PAUSE);
        "Experiment" "experiment" Pointer(&ROLLOUT_EXPERIMENT_STEP);
        "Analysis" "analysis" Pointer(&ROLLOUT_ANALYSIS);
        "SetCanaryScale" "setCanaryScale" Pointer(&SET_CANARY_SCALE);
        "SetHeaderRoute" "setHeaderRoute" Pointer(&SET_HEADER_ROUTE);
        "SetMirrorRoute" "setMirrorRoute" Pointer(&SET_MIRROR_ROUTE);
        "Plugin" "plugin" Pointer(&PLUGIN_STEP);
    }
    ROLLOUT_PAUSE = "RolloutPause" {
        "Duration" "duration" IntOrString;
    }
    ROLLOUT_EXPERIMENT_STEP = "RolloutExperimentStep" {
        "Templates" "templates" List(&Plain(&ROLLOUT_EXPERIMENT_TEMPLATE));
        "Duration" "duration" Text;
        "ScaleDownDelaySeconds" "scaleDownDelaySeconds" Int;
    }
    ROLLOUT_EXPERIMENT_TEMPLATE = "RolloutExperimentTemplate" {
        "Name" "name" Text;
        "SpecRef" "specRef" Text;
        "Replicas" "replicas" Int;
        "Metadata" "metadata" Plain(&POD_TEMPLATE_METADATA);
        "Selector" "selector" Pointer(&LABEL_SELECTOR);
        "Weight" "weight" Int;
        "Service" "service" Pointer(&TEMPLATE_SERVICE);
    }
    TEMPLATE_SERVICE = "TemplateService" {
        "Name" "name" Text;
    }
    ROLLOUT_ANALYSIS = "RolloutAnalysis" {
        "Templates" "templates" List(&Plain(&ANALYSIS_TEMPLATE_REF));
    }
    ANALYSIS_TEMPLATE_REF = "AnalysisTemplateRef" {
        "TemplateName" "templateName" Text;
        "ClusterScope" "clusterScope" Bool;
    }
    SET_CANARY_SCALE = "SetCanaryScale" {
        "Weight" "weight" Int;
        "Replicas" "replicas" Int;
        "MatchTrafficWeight" "matchTrafficWeight" Bool;
    }
    SET_HEADER_ROUTE = "SetHeaderRoute" {
        "Name" "name" Text;
        "Match" "match" List(&Plain(&HEADER_ROUTING_MATCH));
    }
    HEADER_ROUTING_MATCH = "HeaderRoutingMatch" {
        "HeaderName" "headerName" Text;
        "HeaderValue" "headerValue" Pointer(&STRING_MATCH);
    }
    SET_MIRROR_ROUTE = "SetMirrorRoute" {
        "Name" "name" Text;
        "Match" "match" List(&Plain(&ROUTE_MATCH));
        "Percentage" "percentage" Int;
    }
    ROUTE_MATCH = "RouteMatch" {
        "Method" "method" Pointer(&STRING_MATCH);
        "Path" "path" Pointer(&STRING_MATCH);
        "Headers" "headers" Map(&Plain(&STRING_MATCH));
    }
    STRING_MATCH = "StringMatch" {
        "Exact" "exact" Text;
        "Prefix" "prefix" Text;
        "Regex" "regex" Text;
    }
    PLUGIN_STEP = "PluginStep" {
        "Name" "name" Text;
        "Config" "config" Raw;
    }
}

// The status.
structs! {
    ROLLOUT_STATUS = "RolloutStatus" {
        "Abort" "abort" Bool;
        "PauseConditions" "pauseConditions" List(&Plain(&PAUSE_CONDITION));
        "ControllerPause" "controllerPause" Bool;
        "AbortedAt" "abortedAt" Time;
        "CurrentPodHash" "currentPodHash" Text;
        "CurrentStepHash" "currentStepHash" Text;
        "Replicas" "replicas" Int;
        "UpdatedReplicas" "updatedReplicas" Int;
        "ReadyReplicas" "readyReplicas" Int;
        "AvailableReplicas" "availableReplicas" Int;
        "CurrentStepIndex" "currentStepIndex" Int;
        "CollisionCount" "collisionCount" Int;
        "ObservedGeneration" "observedGeneration" Text;
        "Conditions" "conditions" List(&Plain(&ROLLOUT_CONDITION));
        "Canary" "canary" Plain(&CANARY_STATUS);
        "HPAReplicas" "HPAReplicas" Int;
        "Selector" "selector" Text;
        "StableRS" "stableRS" Text;
        "RestartedAt" "restartedAt" Time;
        "PromoteFull" "promoteFull" Bool;
        "Phase" "phase" Text;
        "Message" "message" Text;
        "WorkloadObservedGeneration" "workloadObservedGeneration" Text;
    }
    PAUSE_CONDITION = "PauseCondition" {
        "Reason" "reason" Text;
        "StartTime" "startTime" Time;
    }
    ROLLOUT_CONDITION = "RolloutCondition" {
        "Type" "type" Text;
        "Status" "status" Text;
        "LastUpdateTime" "lastUpdateTime" Time;
        "LastTransitionTime" "lastTransitionTime" Time;
        "Reason" "reason" Text;
        "Message" "message" Text;
    }
    CANARY_STATUS = "CanaryStatus" {
        "CurrentExperiment" "currentExperiment" Text;
        "Weights" "weights" Pointer(&TRAFFIC_WEIGHTS);
        "StablePingPong" "stablePingPong" Text;
    }
    TRAFFIC_WEIGHTS = "TrafficWeights" {
        "Canary" "canary" Plain(&WEIGHT_DESTINATION);
        "Stable" "stable" Plain(&WEIGHT_DESTINATION);
        "Additional" "additional" List(&Plain(&WEIGHT_DESTINATION));
        "Verified" "verified" Bool;
    }
    WEIGHT_DESTINATION = "WeightDestination" {
        "Weight" "weight" Int;
        "ServiceName" "serviceName" Text;
        "PodTemplateHash" "podTemplateHash" Text;
    }
}
