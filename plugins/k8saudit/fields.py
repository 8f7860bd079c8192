"""The fields of audit events, except those of containers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl

from falco_plugin import Event, field, json_field

from .document import elements, find, repository, text

# Not an attribute of the class, so it is not a field of the plugin.
_SERVICE_PORTS = json_field("ka.req.service.ports", "/requestObject/spec/ports", desc="Ports of the service")


class AuditFields:
    """Fields ``ka.*``."""

    # The request

    audit_id = json_field("ka.auditid", "/auditID", desc="Id of the audit event")
    stage = json_field("ka.stage", "/stage", desc="Stage of the request, such as ResponseComplete")
    verb = json_field("ka.verb", "/verb", desc="Verb of the request, such as create")
    uri = json_field("ka.uri", "/requestURI", desc="URI of the request, with its query")
    user_agent = json_field("ka.useragent", "/userAgent", desc="User agent of the client")
    source_ips = json_field(
        "ka.sourceips",
        "/sourceIPs/{index|*}",
        type=list[str],
        desc="Addresses of the client and of the proxies in between",
    )
    cluster = json_field("ka.cluster.name", "/annotations/cluster_name", desc="Name of the cluster, if it is annotated")

    @field("ka.uri.param", desc="First value of a parameter in the query of the URI")
    def uri_parameter(self, event: Event, key: str) -> str | None:
        query = (self.uri(event) or "").partition("#")[0].partition("?")[2]
        return next((value for name, value in parse_qsl(query, keep_blank_values=True) if name == key), None)

    # The user and the authorization

    user = json_field("ka.user.name", "/user/username", desc="Name of the user who made the request")
    groups = json_field(
        "ka.user.groups", "/user/groups/*", type=list[str], desc="Groups of the user who made the request"
    )
    impersonated = json_field("ka.impuser.name", "/impersonatedUser/username", desc="Name of the impersonated user")
    decision = json_field(
        "ka.auth.decision",
        "/annotations/authorization.k8s.io~1decision",
        desc="Authorization decision: allow or forbid",
    )
    reason = json_field(
        "ka.auth.reason", "/annotations/authorization.k8s.io~1reason", desc="Reason of the authorization decision"
    )
    openshift_decision = json_field(
        "ka.auth.openshift.decision",
        "/annotations/authentication.openshift.io~1decision",
        desc="Authentication decision of OpenShift",
    )
    openshift_user = json_field(
        "ka.auth.openshift.username",
        "/annotations/authentication.openshift.io~1username",
        desc="User name that OpenShift authenticated",
    )
    policy_failure = json_field(
        "ka.validations.admission.policy.failure",
        "/annotations/validation.policy.admission.k8s.io~1validation_failure",
        desc="Failure of a validating admission policy",
    )
    pod_security = json_field(
        "ka.security.pod.violations",
        "/annotations/pod-security.kubernetes.io~1audit-violations",
        desc="Violations of the pod security standards",
    )

    # The object of the request

    target_name = json_field("ka.target.name", "/objectRef/name", desc="Name of the object")
    target_namespace = json_field("ka.target.namespace", "/objectRef/namespace", desc="Namespace of the object")
    target_resource = json_field("ka.target.resource", "/objectRef/resource", desc="Resource, such as pods")
    target_subresource = json_field("ka.target.subresource", "/objectRef/subresource", desc="Subresource, such as exec")

    @field("ka.target.pod.name", desc="Name of the pod in the response, if the request is about a pod itself")
    def target_pod(self, event: Event) -> str | None:
        if self.target_resource(event) != "pods" or self.target_subresource(event):
            return None
        return self.response_name(event)

    # The response

    response_name = json_field(
        "ka.resp.name", "/responseObject/metadata/name", desc="Name of the object in the response"
    )
    code = json_field("ka.response.code", "/responseStatus/code", desc="Code of the response, such as 201")
    code_reason = json_field("ka.response.reason", "/responseStatus/reason", desc="Reason of the response code")

    # Roles and their bindings

    role = json_field("ka.req.binding.role", "/requestObject/roleRef/name", desc="Name of the role that is bound")
    subjects = json_field(
        "ka.req.binding.subjects",
        "/requestObject/subjects/*",
        type=list[str],
        desc="Subjects that the role is bound to, as JSON",
    )

    @field("ka.req.binding.subjects.user_names", desc="Users that the role is bound to")
    def bound_users(self, event: Event) -> list[str]:
        return _names_of_subjects(event, "User")

    @field("ka.req.binding.subjects.group_names", desc="Groups that the role is bound to")
    def bound_groups(self, event: Event) -> list[str]:
        return _names_of_subjects(event, "Group")

    @field("ka.req.binding.subjects.serviceaccount_names", desc="Service accounts that the role is bound to")
    def bound_accounts(self, event: Event) -> list[str]:
        return _names_of_subjects(event, "ServiceAccount")

    @field(
        "ka.req.binding.subjects.serviceaccount_ns_names",
        desc="Service accounts that the role is bound to, as namespace:name",
    )
    def bound_accounts_in_namespaces(self, event: Event) -> list[str]:
        return [
            f"{text(subject['namespace'])}:{text(subject['name'])}"
            for subject in _subjects(event, "ServiceAccount")
            if subject.get("namespace") is not None
        ]

    @field("ka.req.binding.subject.has_name", desc="(Deprecated) Always true")
    def has_name(self, event: Event, key: str) -> str | None:
        return None if self.audit_id(event) is None else "true"

    rules = json_field("ka.req.role.rules", "/requestObject/rules/*", type=list[str], desc="Rules of the role, as JSON")
    rules_groups = json_field(
        "ka.req.role.rules.apiGroups",
        "/requestObject/rules/{index|*}/apiGroups/*",
        type=list[str],
        desc="API groups in the role's rules",
    )
    rules_urls = json_field(
        "ka.req.role.rules.nonResourceURLs",
        "/requestObject/rules/{index|*}/nonResourceURLs/*",
        type=list[str],
        desc="Non-resource URLs in the role's rules",
    )
    rules_verbs = json_field(
        "ka.req.role.rules.verbs",
        "/requestObject/rules/{index|*}/verbs/*",
        type=list[str],
        desc="Verbs in the role's rules",
    )
    rules_resources = json_field(
        "ka.req.role.rules.resources",
        "/requestObject/rules/{index|*}/resources/*",
        type=list[str],
        desc="Resources in the role's rules",
    )

    # Configmaps and services

    configmap = json_field("ka.req.configmap.name", "/objectRef/name", desc="Name of the configmap")
    configmap_data = json_field("ka.req.configmap.obj", "/requestObject/data", desc="Content of the configmap, as JSON")
    service_type = json_field("ka.req.service.type", "/requestObject/spec/type", desc="Type of the service")

    @field("ka.req.service.ports", desc="All ports of the service as one JSON string, for any index")
    def service_ports(self, event: Event, index: int | None = None) -> list[str]:
        ports = _SERVICE_PORTS(event)
        return [] if ports is None else [ports]

    # Pods

    host_ipc = json_field(
        "ka.req.pod.host_ipc", "/requestObject/spec/hostIPC", desc="Whether the pod shares the host's IPC namespace"
    )
    host_network = json_field(
        "ka.req.pod.host_network", "/requestObject/spec/hostNetwork", desc="Whether the pod shares the host's network"
    )
    host_pid = json_field(
        "ka.req.pod.host_pid", "/requestObject/spec/hostPID", desc="Whether the pod shares the host's process ids"
    )
    run_as_user = json_field(
        "ka.req.pod.run_as_user", "/requestObject/spec/securityContext/runAsUser", desc="User id of the pod"
    )
    run_as_group = json_field(
        "ka.req.pod.run_as_group", "/requestObject/spec/securityContext/runAsGroup", desc="Group id of the pod"
    )
    fs_group = json_field(
        "ka.req.pod.fs_group", "/requestObject/spec/securityContext/fsGroup", desc="Group id of the pod's volumes"
    )
    supplemental_groups = json_field(
        "ka.req.pod.supplemental_groups",
        "/requestObject/spec/securityContext/supplementalGroups/*",
        type=list[str],
        desc="Further group ids of the pod",
    )
    host_paths = json_field(
        "ka.req.pod.volumes.hostpath",
        "/requestObject/spec/volumes/{index|*}/hostPath/path",
        type=list[str],
        desc="Host paths of the volumes",
    )
    flexvolume_drivers = json_field(
        "ka.req.pod.volumes.flexvolume_driver",
        "/requestObject/spec/volumes/{index|*}/flexVolume/driver",
        type=list[str],
        desc="FlexVolume drivers of the volumes",
    )

    @field("ka.req.pod.volumes.volume_type", desc="Types of the volumes, such as hostPath")
    def volume_types(self, event: Event, index: int | None = None) -> list[str]:
        volumes = elements(find(event.json, "requestObject", "spec", "volumes"), index)
        return [member for volume in volumes if isinstance(volume, dict) for member in volume if member != "name"]

    # Deprecated fields of pods

    first_image = json_field(
        "ka.req.container.image",
        "/requestObject/spec/containers/0/image",
        desc="(Deprecated) Image of the first container",
    )
    container_host_network = json_field(
        "ka.req.container.host_network",
        "/requestObject/spec/hostNetwork",
        desc="(Deprecated) Whether the pod shares the host's network",
    )

    @field(
        "ka.req.container.image.repository", desc="(Deprecated) Image of the first container, without tag and digest"
    )
    def first_repository(self, event: Event) -> str | None:
        image = self.first_image(event)
        return None if image is None else repository(image)

    @field("ka.req.container.privileged", desc="(Deprecated) Whether any container is privileged")
    def any_privileged(self, event: Event) -> str | None:
        containers = find(event.json, "requestObject", "spec", "containers")
        if containers is None:
            return None
        return text(any(find(each, "securityContext", "privileged") is True for each in elements(containers)))

    @field(
        "ka.req.volume.hostpath",
        desc="(Deprecated) Whether a volume has this host path; a * at the end matches all paths with this prefix",
    )
    def has_host_path(self, event: Event, key: str) -> str | None:
        if find(event.json, "requestObject", "spec", "volumes") is None:
            return None
        paths = self.host_paths(event) or []
        prefix = key.removesuffix("*")
        return text(key in paths if prefix == key else any(path.startswith(prefix) for path in paths))


def _names_of_subjects(event: Event, kind: str) -> list[str]:
    return [text(subject["name"]) for subject in _subjects(event, kind)]


def _subjects(event: Event, kind: str) -> Iterator[dict[str, Any]]:
    for subject in elements(find(event.json, "requestObject", "subjects")):
        if find(subject, "kind") == kind and find(subject, "name") is not None:
            yield subject
