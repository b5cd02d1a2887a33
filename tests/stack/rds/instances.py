"""RDS instances of moto with a server behind each: they are creating, available and deleting as RDS's are."""

import json
import re
import secrets
import sys
import threading
import time
import traceback
from dataclasses import dataclass, field
from datetime import UTC, datetime

import boto3
from clusters import OWNER, Base, Cluster, ClusterError, Machine
from moto.rds import models
from moto.rds.exceptions import InvalidParameterCombination, InvalidParameterValue, RDSClientError

Backend = models.RDSBackend

# moto's own, beneath ours.
CREATE = Backend.create_db_instance
DELETE = Backend.delete_db_instance
MODIFY = Backend.modify_db_instance
SNAPSHOT = Backend.create_db_snapshot
COPY_SNAPSHOT = Backend.copy_db_snapshot
RESTORE = Backend.restore_db_instance_from_db_snapshot
RECOVER = Backend.restore_db_instance_to_point_in_time
SAVE_AUTOMATED_BACKUP = models.DBInstance.save_automated_backup
PARAMETER_GROUPS = models.DBInstance.db_parameter_groups

PASSWORD_CHARACTERS = re.compile(r"[!-~]{8,128}")
NOT_IN_PASSWORDS = set("/'\"@")


@dataclass
class Course:
    """What happens to instances whose identifier begins with `instances`, instead of what they were asked for."""

    instances: str
    seconds: dict[str, float] = field(default_factory=dict)
    hold: set[str] = field(default_factory=set)
    ends_in: str | None = None


@dataclass
class Origin:
    """What the next instance that this thread creates is made from."""

    base: Base | None
    major: int
    password: str
    asked: dict
    source: Cluster | None = None
    until: datetime | None = None


class World:
    """All that stands behind moto's objects, by their identifiers."""

    def __init__(self, machine: Machine, secrets_endpoint: str | None):
        self.machine = machine
        self.clusters: dict[str, Cluster] = {}
        self.passwords: dict[str, str] = {}
        self.snapshots: dict[str, tuple[Base | None, str]] = {}
        self.courses: list[Course] = []
        self.lock = threading.RLock()
        self.changed = threading.Condition()
        self.secrets_endpoint = secrets_endpoint

    def secrets_manager(self, region: str):
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        return boto3.client("secretsmanager", endpoint_url=self.secrets_endpoint, region_name=region, **keys)

    def major(self, version: str) -> int:
        major = int(version.split(".")[0]) if version.split(".")[0].isdigit() else 0
        if major not in self.machine.programs:
            raise InvalidParameterCombination(f"Cannot find version {version} for postgres")
        return major

    def course(self, identifier: str) -> Course:
        fitting = [course for course in self.courses if identifier.startswith(course.instances)]
        return fitting[-1] if fitting else Course("")

    def stay(self, identifier: str, state: str) -> None:
        """Returns when the instance may leave a state: after its time, and not while it is held."""
        time.sleep(self.course(identifier).seconds.get(state, 0))
        with self.changed:
            self.changed.wait_for(lambda: state not in self.course(identifier).hold)


WORLD: World

# What the current thread's creation is made from; moto creates within the same call.
HERE = threading.local()


def in_background(work, *arguments) -> None:
    def safely() -> None:
        try:
            work(*arguments)
        except Exception:
            traceback.print_exc(file=sys.stderr)

    threading.Thread(target=safely, daemon=True).start()


def check_password(password: str) -> None:
    if not PASSWORD_CHARACTERS.fullmatch(password) or NOT_IN_PASSWORDS & set(password):
        raise InvalidParameterValue(
            "The parameter MasterUserPassword is not a valid password. Only printable ASCII characters besides "
            "'/', '@', '\"', ' ' may be used."
        )


def create(backend: Backend, wanted: dict) -> models.DBInstance:
    origin: Origin | None = getattr(HERE, "origin", None)
    HERE.origin = None
    if wanted.get("engine") != "postgres":
        return CREATE(backend, wanted)
    if origin:
        # Neither a restored instance's port nor its secret is its source's; nor are these, unless they are asked for.
        for own in ("port", "manage_master_user_password", "master_user_secret", "source_db_instance_identifier"):
            wanted.pop(own, None)
        for own in ("deletion_protection", "multi_az", "publicly_accessible"):
            wanted[own] = bool(origin.asked.get(own))
        password, major = origin.password, origin.major
        wanted["master_user_password"] = password
    else:
        newest = str(max(WORLD.machine.programs))
        version = str(wanted.get("engine_version") or newest)
        major = WORLD.major(version)
        wanted["engine_version"] = version if "." in version else WORLD.machine.version(major)
        if wanted.get("master_username", "").lower() in ("", OWNER, "admin", "public", "rds_superuser"):
            raise InvalidParameterValue(f"MasterUsername {wanted.get('master_username')} is a reserved word")
        if wanted.get("manage_master_user_password"):
            if wanted.get("master_user_password"):
                raise InvalidParameterCombination(
                    "You can't specify MasterUserPassword for an instance with ManageMasterUserPassword enabled."
                )
            password = None
        else:
            password = wanted.get("master_user_password") or ""
            check_password(password)
    ensure_groups(backend, wanted)
    database = CREATE(backend, wanted)
    database.status = "creating"
    password = password or WORLD.passwords[database.master_user_secret.secret_arn]
    in_background(bring_up, database, major, password, origin)
    return database


def ensure_groups(backend: Backend, wanted: dict) -> None:
    """Groups that a template makes on AWS are nowhere here: whatever is named is there."""
    name = wanted.get("db_subnet_group_name")
    if name and name not in backend.subnet_groups:
        ec2 = models.ec2_backends[backend.account_id][backend.region_name]
        backend.create_subnet_group(name, "made when it was named", ec2.describe_subnets(), [])
    name = wanted.get("db_parameter_group_name")
    if name and not name.startswith("default.") and name not in backend.db_parameter_groups:
        major = str(wanted.get("engine_version") or "").split(".")[0]
        backend.create_db_parameter_group(
            {
                "db_parameter_group_name": name,
                "db_parameter_group_family": f"postgres{major}",
                "description": "made when it was named",
                "tags": [],
            }
        )


def bring_up(database: models.DBInstance, major: int, password: str, origin: Origin | None) -> None:
    name = database.db_instance_identifier
    course = WORLD.course(name)
    cluster = Cluster(WORLD.machine, name, major, archiving=bool(database.backup_retention_period))
    try:
        if origin is None:
            cluster.create(database.master_username, password, database.db_name)
        elif origin.source:
            cluster.recover(origin.base, origin.source.archive, origin.until)
        else:
            cluster.create_from(origin.base)
        if cluster.archive:
            base = cluster.take_base(datetime.now(UTC))
            pending = [key for key, (b, _) in WORLD.snapshots.items() if b is None and key.startswith(f"rds:{name}-")]
            for snapshot in pending:
                WORLD.snapshots[snapshot] = (base, password)
    except ClusterError as error:
        print(f"{name}: {error}", file=sys.stderr)
        cluster.stop()
        database.status = "failed"
        return
    WORLD.stay(name, "creating")
    with WORLD.lock:
        if database.status != "creating":
            cluster.stop()
            return
        database.port = cluster.port
        WORLD.clusters[name] = cluster
        WORLD.passwords[name] = password
        database.status = course.ends_in or "available"


def endpoint(database: models.DBInstance) -> dict | None:
    """An instance has none before its server is there."""
    if database.engine == "postgres" and database.db_instance_identifier not in WORLD.clusters:
        return None
    return {"Address": "127.0.0.1", "Port": database.port, "HostedZoneId": "Z2R2ITUGPM61AM"}


def parameter_groups(database: models.DBInstance) -> list:
    ensure_groups(database.backend, {"db_parameter_group_name": database.db_parameter_group_name})
    return PARAMETER_GROUPS(database)


def delete(
    backend: Backend,
    db_instance_identifier: str,
    final_db_snapshot_identifier: str | None = None,
    skip_final_snapshot: bool | None = False,
    delete_automated_backups: bool | None = True,
) -> models.DBInstance:
    database = backend.describe_db_instances(db_instance_identifier)[0]
    if database.deletion_protection:
        raise InvalidParameterCombination(
            "Cannot delete protected DB Instance, please disable deletion protection and try again."
        )
    if not skip_final_snapshot and not final_db_snapshot_identifier:
        raise InvalidParameterCombination(
            "FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is specified."
        )
    with WORLD.lock:
        if database.status == "deleting":
            raise RDSClientError(
                "InvalidDBInstanceState", f"Instance {db_instance_identifier} is already being deleted."
            )
        if not skip_final_snapshot:
            snapshot(backend, db_instance_identifier, final_db_snapshot_identifier)
        database.status = "deleting"
    in_background(take_down, backend, database, delete_automated_backups)
    return database


def save_automated_backup(database: models.DBInstance) -> None:
    if database.backup_retention_period:
        SAVE_AUTOMATED_BACKUP(database)


def take_down(backend: Backend, database: models.DBInstance, with_backups: bool | None) -> None:
    name = database.db_instance_identifier
    WORLD.stay(name, "deleting")
    with WORLD.lock:
        cluster = WORLD.clusters.pop(name, None)
    if cluster:
        cluster.stop()
    DELETE(backend, name, None, True, with_backups)


def modify(backend: Backend, db_instance_identifier: str, wanted: dict) -> models.DBInstance:
    database = backend.describe_db_instances(db_instance_identifier)[0]
    if database.status != "available":
        raise RDSClientError("InvalidDBInstanceState", f"Database {db_instance_identifier} is not in available state.")
    ensure_groups(backend, {**wanted, "engine_version": database.engine_version})
    password = wanted.get("master_user_password")
    if password:
        check_password(password)
    database = MODIFY(backend, db_instance_identifier, wanted)
    if wanted.get("manage_master_user_password"):
        password = WORLD.passwords[database.master_user_secret.secret_arn]
    if password:
        database.status = "resetting-master-credentials"
        in_background(set_password, database, password)
    return database


def set_password(database: models.DBInstance, password: str) -> None:
    name = database.db_instance_identifier
    WORLD.clusters[name].set_password(database.master_username, password)
    WORLD.stay(name, "resetting-master-credentials")
    WORLD.passwords[name] = password
    if database.status == "resetting-master-credentials":
        database.status = "available"


def snapshot(backend: Backend, db_instance_identifier: str, db_snapshot_identifier: str, *further, **named):
    made = SNAPSHOT(backend, db_instance_identifier, db_snapshot_identifier, *further, **named)
    cluster = WORLD.clusters.get(db_instance_identifier)
    # The first automated one is asked for before there is a server; bring_up takes it.
    base = cluster.take_base(datetime.now(UTC)) if cluster else None
    WORLD.snapshots[made.db_snapshot_identifier] = (base, WORLD.passwords.get(db_instance_identifier, ""))
    return made


def copy_snapshot(backend: Backend, source_db_snapshot_identifier: str, target_db_snapshot_identifier: str, **named):
    made = COPY_SNAPSHOT(backend, source_db_snapshot_identifier, target_db_snapshot_identifier, **named)
    source = source_db_snapshot_identifier.split(":snapshot:")[-1]
    WORLD.snapshots[made.db_snapshot_identifier] = WORLD.snapshots[source]
    return made


def refuse_managed(overrides: dict) -> None:
    if overrides.get("manage_master_user_password"):
        raise InvalidParameterCombination("ManageMasterUserPassword cannot be given when an instance is restored.")


def restore(backend: Backend, from_snapshot_id: str, overrides: dict) -> models.DBInstance:
    refuse_managed(overrides)
    name = from_snapshot_id.split(":snapshot:")[-1]
    found = backend.describe_db_snapshots(None, name)[0]
    base, password = WORLD.snapshots[name]
    if base is None:
        raise RDSClientError("InvalidDBSnapshotState", f"DBSnapshot {name} is not available.")
    HERE.origin = Origin(base, WORLD.major(found.engine_version), password, overrides)
    return RESTORE(backend, name, overrides)


def recover(backend: Backend, source_db_identifier: str, target_db_identifier: str, overrides: dict):
    refuse_managed(overrides)
    source = backend.describe_db_instances(source_db_identifier)[0]
    cluster = WORLD.clusters.get(source_db_identifier)
    if not cluster or not cluster.archive:
        raise RDSClientError("PointInTimeRestoreNotEnabled", "Point in time restore is not enabled for this instance")
    latest = overrides.get("use_latest_restorable_time")
    until = overrides.get("restore_time")
    if bool(latest) == bool(until):
        raise InvalidParameterCombination("Either RestoreTime or UseLatestRestorableTime must be given.")
    if until:
        until = until if isinstance(until, datetime) else datetime.fromisoformat(str(until).replace("Z", "+00:00"))
        until = until if until.tzinfo else until.replace(tzinfo=UTC)
        now = datetime.now(UTC)
        if until >= now or until < cluster.bases[0].taken:
            raise InvalidParameterValue(f"RestoreTime {until.isoformat()} lies outside of what can be restored.")
    cluster.archive_all()
    before = [base for base in cluster.bases if until is None or base.taken <= until]
    password = WORLD.passwords[source_db_identifier]
    HERE.origin = Origin(before[-1], WORLD.major(source.engine_version), password, overrides, cluster, until)
    return RECOVER(backend, source_db_identifier, target_db_identifier, overrides)


class ManagedSecret(models.MasterUserSecret):
    """The master user's password as RDS keeps it: made by RDS, in the Secrets Manager that functions ask."""

    def _generate_secret_string(self) -> str:
        self.password = secrets.token_urlsafe(24)
        # RDS's own hold neither host nor database.
        return json.dumps({"username": self.resource.master_username, "password": self.password})

    def _create_secret(self, kms_key_id: str | None):
        if WORLD.secrets_endpoint is None:
            made = super()._create_secret(kms_key_id)
            WORLD.passwords[made.arn] = self.password
            return made
        tags = self._generate_secret_tags()
        tags.append({"Key": "aws:secretsmanager:owningService", "Value": "rds"})
        answer = WORLD.secrets_manager(self.resource.region).create_secret(
            # LocalStack's refuses the "!" of RDS's own names.
            Name=self._generate_secret_name().replace("!", "/"),
            Description=self._generate_secret_description(),
            SecretString=self._generate_secret_string(),
            Tags=tags,
        )
        WORLD.passwords[answer["ARN"]] = self.password
        self._kms_key_id = kms_key_id or "alias/aws/secretsmanager"
        return RemoteSecret(answer["ARN"])

    @property
    def kms_key_id(self) -> str:
        return self._kms_key_id if WORLD.secrets_endpoint else super().kms_key_id

    def __deepcopy__(self, _memo) -> "ManagedSecret":
        return self

    def delete_secret(self) -> None:
        if WORLD.secrets_endpoint is None:
            return super().delete_secret()
        manager = WORLD.secrets_manager(self.resource.region)
        manager.delete_secret(SecretId=self.secret.arn, ForceDeleteWithoutRecovery=True)


@dataclass(frozen=True)
class RemoteSecret:
    arn: str


def stand_behind_moto(world: World) -> None:
    global WORLD
    WORLD = world
    Backend.create_db_instance = create
    Backend.delete_db_instance = delete
    Backend.modify_db_instance = modify
    Backend.create_db_snapshot = snapshot
    Backend.copy_db_snapshot = copy_snapshot
    Backend.restore_db_instance_from_db_snapshot = restore
    Backend.restore_db_instance_to_point_in_time = recover
    models.MasterUserSecret = ManagedSecret
    models.DBInstance.endpoint = property(endpoint)
    models.DBInstance.db_parameter_groups = parameter_groups
    models.DBInstance.save_automated_backup = save_automated_backup
