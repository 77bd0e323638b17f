"""The keys of Dagster's Helm chart that deploy/kubernetes uses, with their types.

The chart cannot be fetched where these tests run. Its facts were read in dagster's repository,
folder ``helm/dagster``: ``schema/`` (names, types, what is refused) and ``templates/``, in the
versions that come with dagster 1.13. A key that is not here is refused, so that a misspelt one,
which Helm may pass over in silence, is found. What stands under Kubernetes' own names (probes,
security contexts, volumes) is checked where it is used, in :mod:`rendered`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

#: A name that Kubernetes takes for a Service; the code location has it, too.
ServiceName = Annotated[str, StringConstraints(pattern=r"^[a-z]([a-z0-9-]*[a-z0-9])?$", max_length=63)]
Kubernetes = dict[str, Any]


class _Section(BaseModel):
    # Helm's values are JSON: "8080" is no number, 1.0 is no text.
    model_config = ConfigDict(extra="forbid", strict=True, populate_by_name=True)


class Image(_Section):
    repository: str
    tag: str
    pullPolicy: Literal["Always", "IfNotPresent", "Never"]


class Named(_Section):
    name: str
    optional: bool | None = None


class Switch(_Section):
    enabled: bool


class Account(_Section):
    create: bool
    name: str
    annotations: dict[str, str]


class Port(_Section):
    port: int


class Service(_Section):
    type: Literal["ClusterIP"]
    port: int


class Source(_Section):
    env: str


class Global(_Section):
    dagsterHome: str
    postgresqlSecretName: str


class PostgreSQL(_Section):
    enabled: bool
    image: Image
    postgresqlHost: str
    postgresqlUsername: str
    postgresqlDatabase: str
    postgresqlScheme: str
    postgresqlParams: dict[str, str]
    service: Port


class S3ComputeLogs(_Section):
    bucket: Source
    prefix: Source
    skipEmptyFiles: bool
    uploadInterval: int


class ComputeLogConfig(_Section):
    s3ComputeLogManager: S3ComputeLogs


class ComputeLogs(_Section):
    type: Literal["S3ComputeLogManager"]
    config: ComputeLogConfig


class Pod(_Section):
    """What webserver, daemon and code server have in common."""

    image: Image
    envConfigMaps: list[Named]
    envSecrets: list[Named] = []
    podSecurityContext: Kubernetes
    securityContext: Kubernetes
    volumes: list[Kubernetes]
    volumeMounts: list[Kubernetes]
    resources: Kubernetes
    startupProbe: Kubernetes = {}
    readinessProbe: Kubernetes = {}
    livenessProbe: Kubernetes


class Webserver(Pod):
    nameOverride: str
    replicaCount: int
    enableReadOnly: bool
    service: Service
    dbStatementTimeout: int


class Workers(_Section):
    useThreads: bool
    numWorkers: int


class Daemon(Pod):
    enabled: bool
    heartbeatTolerance: int
    # With one of these on, the chart writes keys that additionalInstanceConfig has, too.
    runCoordinator: Switch
    runMonitoring: Switch
    runRetries: Switch
    sensors: Workers
    schedules: Workers


class CodeServer(Pod):
    name: ServiceName
    port: int
    codeServerArgs: list[str]
    includeConfigInLaunchedRuns: Switch


class CodeServers(_Section):
    enabled: bool
    enableSubchart: bool
    serviceAccount: Account
    deployments: list[CodeServer] = Field(min_length=1)


class RunK8sConfig(_Section):
    podSpecConfig: Kubernetes
    podTemplateSpecMetadata: Kubernetes
    jobSpecConfig: Kubernetes


class K8sRunLauncher(_Section):
    imagePullPolicy: Literal["IfNotPresent"]
    loadInclusterConfig: bool
    envConfigMaps: list[Named]
    envSecrets: list[Named]
    envVars: list[str]
    labels: dict[str, str]
    volumes: list[Kubernetes]
    volumeMounts: list[Kubernetes]
    securityContext: Kubernetes
    resources: Kubernetes
    runK8sConfig: RunK8sConfig


class RunLauncherConfig(_Section):
    k8sRunLauncher: K8sRunLauncher


class RunLauncher(_Section):
    type: Literal["K8sRunLauncher"]
    config: RunLauncherConfig


class Purge(_Section):
    purgeAfterDays: dict[Literal["skipped", "success", "failure", "started"], int]


class Retention(_Section):
    enabled: bool
    schedule: Purge
    sensor: Purge
    autoMaterialize: Purge


class Values(_Section):
    """All of ``values.yaml``, without the ``x-`` keys that only hold anchors."""

    global_: Global = Field(alias="global")
    generatePostgresqlPasswordSecret: bool
    postgresql: PostgreSQL
    rabbitmq: Switch
    redis: Switch
    serviceAccount: Account
    rbacEnabled: bool
    computeLogManager: ComputeLogs
    dagsterWebserver: Webserver
    code: CodeServers = Field(alias="dagster-user-deployments")
    runLauncher: RunLauncher
    dagsterDaemon: Daemon
    additionalInstanceConfig: dict[str, Any]
    telemetry: Switch
    retention: Retention
    ingress: Switch
    flower: Switch
    migrate: Switch
