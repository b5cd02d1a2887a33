//! Who may do what: the statements of every function's role, and nothing else. test/rights.test.ts proves them line by line.
import * as cdk from 'aws-cdk-lib';
import { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import { TESTED, adopting } from './adoption';
import { FunctionName } from './catalog';
import { Kind, READS, folder, secretsOf, urlsOf } from './secrets';
import { Names, Settings, UrlSetting } from './settings';
import { EXPIRE_TAG, MOVE_TAG, Place } from './store';

/** What statements speak of. */
export interface Resources {
  names: Names;
  settings: Settings;
  store: Place;
  control: Place;
  /** ARNs. */
  storeKey: string;
  operationsKey: string;
  bus: string;
  topic: string;
  alertQueue: string;
  deadLetters: string;
}

const MANIFESTS = ['*/manifest.json', '*/attestations/*'];
/** What a dump makes. */
const DUMPED = ['*/archive/*', '*/globals.sql', '*/RESTORE.md', '*/manifest.json'];
const PROBE = '.control/probe/*';

/** What is tagged as scratch of this deployment: `aws:RequestTag` where it is made, `aws:ResourceTag` where it is there. */
function scratch(when: 'aws:RequestTag' | 'aws:ResourceTag', { names }: Resources): { StringEquals: { [key: string]: string } } {
  return { StringEquals: { [`${when}/lifeboat:scratch`]: 'true', [`${when}/lifeboat:deployment`]: names.prefix } };
}

/** What a function's role may do, logs and tracing aside. */
export function rights(name: FunctionName, r: Resources): PolicyStatement[] {
  const { store, control } = ports(r);
  const own = [...connections(name, r), ...messages(name, r)];
  const run = (...operations: string[]): PolicyStatement[] =>
    control.change(...operations.map((operation) => `runs/${operation}/*`));
  const restores = [store.list(), store.get('*'), store.versions('*'), store.thaw('*'), store.put('*/attestations/*-restored.json', '*/drills/*')];
  switch (name) {
    case 'dump':
      return [
        ...own,
        store.list(),
        store.get(...MANIFESTS),
        store.put(...DUMPED, PROBE),
        store.abort('*/archive/*'),
        control.put('leases/*'),
        ...run('dump'),
      ];
    case 'verify':
      return [
        ...own,
        store.list(),
        store.get('*'),
        store.versions('*'),
        store.put('*/attestations/*-verified.json', '*/attestations/*-corrupt.json'),
        ...run('verify', 'verify-completed'),
      ];
    case 'retention':
      return [
        ...own,
        store.list(),
        store.uploads(),
        store.get(...MANIFESTS),
        store.put(...['expiring', 'undo', 'promoted'].map((kind) => `*/attestations/*-${kind}.json`)),
        store.abort('*'),
        store.tags(),
        ...store.tag(),
        ...run('retention'),
      ];
    case 'restore':
      return [
        ...own,
        ...restores,
        // What is replaced is backed up before, as backups of a database of its own name, and in these alone.
        store.put(...DUMPED.map((name) => `safety-${name}`), 'safety-*/attestations/*-verified.json', PROBE),
        store.abort('safety-*/archive/*'),
        control.put('leases/*'),
        ...run('restore'),
      ];
    case 'drill':
      return [...own, ...restores, control.put('drills/*'), ...run('drill')];
    case 'drill-data':
      return [...own, ...restores, control.put('drills/*'), ...run('drill'), scratchPassword(r)];
    case 'drill-control':
      return [
        ...own,
        store.list(),
        store.get(...MANIFESTS, '*/drills/*'),
        control.put('drills/*'),
        ...run('drill', 'drill-clean-up'),
        ...scratchInstances(r),
        ...restoreTests(r),
      ];
    case 'health':
      return [
        ...own,
        store.list(),
        store.uploads(),
        store.get(...MANIFESTS, '*/drills/*'),
        store.put(PROBE),
        control.put('health/*', 'status/*'),
        // Retention's plan is health's too: which class was asked for, and what has been tagged to expire.
        store.tags(),
        ...control.change('undelivered/*'),
        control.forget('runs/*', 'maintenance/*'),
        ...removal(r),
        allow('sns:ListSubscriptionsByTopic', [r.topic]),
      ];
    case 'maintenance':
      return [...own, store.list(), store.put(PROBE), control.put('maintenance/*'), ...run('maintenance')];
    case 'alert':
      return [
        ...own,
        store.list(),
        store.get(...MANIFESTS, '*/drills/*'),
        control.put('incidents/*', 'looks/*', 'digest/*'),
        ...control.change('messages/*'),
        allow(['sqs:ReceiveMessage', 'sqs:DeleteMessage', 'sqs:GetQueueAttributes'], [r.alertQueue]),
        allow('sns:Publish', [r.topic]),
        allow(['kms:Decrypt', 'kms:GenerateDataKey'], [r.operationsKey], { StringEquals: via('sns') }),
      ];
    case 'notify':
      return [...own, ...control.change('messages/*'), ...mail(r)];
  }
}

/** What every function may do that runs: write its log and its trace, and leave word when it fails. */
export function running(name: FunctionName, r: Resources, inNetwork: boolean): PolicyStatement[] {
  const group = arn('logs', 'log-group', `/aws/lambda/${r.names.of(name)}:*`, ':');
  const statements = [
    allow(['logs:CreateLogStream', 'logs:PutLogEvents'], [group]),
    // Neither knows resources: https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsx-ray.html
    allow(['xray:PutTelemetryRecords', 'xray:PutTraceSegments'], ['*']),
    allow('sqs:SendMessage', [r.deadLetters]),
  ];
  if (inNetwork) {
    // Lambda's network interfaces; these actions are limited by no resource while the interface does not exist yet.
    const actions = ['AssignPrivateIpAddresses', 'CreateNetworkInterface', 'DeleteNetworkInterface', 'DescribeNetworkInterfaces', 'DescribeSubnets', 'UnassignPrivateIpAddresses'];
    statements.push(allow(actions.map((action) => `ec2:${action}`), ['*']));
  }
  return statements;
}

function allow(actions: string | string[], resources: string[], conditions?: { [key: string]: unknown }): PolicyStatement {
  return new PolicyStatement({ actions: [actions].flat(), resources, conditions: conditions as never });
}

function arn(service: string, resource: string, name: string, separator = '/', account: string = cdk.Aws.ACCOUNT_ID): string {
  return `arn:${cdk.Aws.PARTITION}:${service}:${cdk.Aws.REGION}:${account}:${resource}${separator}${name}`;
}

/** The key is used through that service only. */
function via(service: string): { [key: string]: string } {
  return { 'kms:ViaService': `${service}.${cdk.Aws.REGION}.amazonaws.com` };
}

/** Statements about the two buckets, by keys relative to store and control store. */
function ports(r: Resources) {
  const bucket = (place: Place): string => `arn:${cdk.Aws.PARTITION}:s3:::${place.bucket}`;
  const keys = (place: Place, patterns: string[]): string[] => patterns.map((pattern) => `${bucket(place)}/${place.prefix}${pattern}`);
  const store = {
    list: () => allow('s3:ListBucket', [bucket(r.store)]),
    uploads: () => allow('s3:ListBucketMultipartUploads', [bucket(r.store)]),
    get: (...patterns: string[]) => allow('s3:GetObject', keys(r.store, patterns)),
    versions: (...patterns: string[]) => allow('s3:GetObjectVersion', keys(r.store, patterns)),
    put: (...patterns: string[]) => allow('s3:PutObject', keys(r.store, patterns)),
    abort: (...patterns: string[]) => allow('s3:AbortMultipartUpload', keys(r.store, patterns)),
    thaw: (...patterns: string[]) => allow('s3:RestoreObject', keys(r.store, patterns)),
    tags: () => allow('s3:GetObjectTagging', keys(r.store, ['*'])),
    /** Lifeboat's tags and no others, with values that mean something; S3 asks for no right to look at what it replaces. */
    tag: () => [
      allow('s3:PutObjectTagging', keys(r.store, ['*']), {
        'ForAllValues:StringEquals': { 's3:RequestObjectTagKeys': [EXPIRE_TAG, MOVE_TAG] },
        Null: { 's3:RequestObjectTagKeys': 'false' },
        StringEqualsIfExists: {
          [`s3:RequestObjectTag/${EXPIRE_TAG}`]: 'true',
          [`s3:RequestObjectTag/${MOVE_TAG}`]: ['STANDARD', 'STANDARD_IA', 'GLACIER_IR', 'GLACIER', 'DEEP_ARCHIVE'],
        },
      }),
    ],
  };
  const control = {
    put: (...patterns: string[]) => allow('s3:PutObject', keys(r.control, patterns)),
    /** Control objects are no backups: claims are given back, what was told is forgotten. */
    change: (...patterns: string[]) => [allow(['s3:PutObject', 's3:DeleteObject'], keys(r.control, patterns))],
    forget: (...patterns: string[]) => allow('s3:DeleteObject', keys(r.control, patterns)),
    read: () => [allow('s3:ListBucket', [bucket(r.control)]), allow('s3:GetObject', keys(r.control, ['*']))],
  };
  return { store, control };
}

/** What all have in common: the control store, the key, and the secrets of what they connect to. */
function connections(name: FunctionName, r: Resources): PolicyStatement[] {
  const { control } = ports(r);
  const statements = [
    ...control.read(),
    allow(['kms:Decrypt', 'kms:GenerateDataKey'], [r.storeKey], { StringEquals: via('s3') }),
  ];
  const kinds = READS[name] ?? [];
  statements.push(...secrets(kinds, r), ...tokens(kinds.flatMap((kind) => urlsOf(kind, r.settings))));
  return statements;
}

/** The secrets of some kinds: each, or the folder in which those of a kind lie, and no others (lib/check.ts). */
function secrets(kinds: Kind[], r: Resources): PolicyStatement[] {
  const given = kinds.flatMap((kind) => {
    const all = secretsOf(kind, r.settings);
    const shared = folder(all);
    return shared === undefined ? all : [`${shared}*`];
  });
  return given.length === 0 ? [] : [allow('secretsmanager:GetSecretValue', [...new Set(given)].sort().map(secretArn))];
}

/** A secret's ARN ends with six characters of AWS's own. */
function secretArn(secret: string): string {
  return secret.startsWith('arn:') ? secret : arn('secretsmanager', 'secret', secret.endsWith('*') ? secret : `${secret}-??????`, ':');
}

/** The right to log in by IAM; the database's resource id stands in no URL. */
function tokens(places: UrlSetting[]): PolicyStatement[] {
  const users = new Set(places.flatMap((place) => (typeof place === 'object' && place.rds_iam ? [new URL(place.rds_iam).username] : [])));
  if (users.size === 0) return [];
  return [allow('rds-db:connect', [...users].sort().map((user) => arn('rds-db', 'dbuser', `*/${user}`, ':')))];
}

/** Whom a function tells: the bus, or, where it does not answer, the control store. */
function messages(name: FunctionName, r: Resources): PolicyStatement[] {
  if (name === 'alert' || name === 'notify') return [];
  const { control } = ports(r);
  return [allow('events:PutEvents', [r.bus]), control.put('undelivered/*')];
}

/** SES, where a channel sends by it. */
function mail(r: Resources): PolicyStatement[] {
  const from = Object.values(r.settings.alerts.channels ?? {}).flatMap((c) => (c.email?.ses ? [c.email.from] : []));
  if (from.length === 0) return [];
  return [allow('ses:SendEmail', [arn('ses', 'identity', '*')], { StringEquals: { 'ses:FromAddress': [...new Set(from)].sort() } })];
}

/** Instances of drills by their names. */
function instances(r: Resources): string {
  return arn('rds', 'db', `${r.names.prefix}-drill-*`, ':');
}

/** Creates only what is tagged as scratch of ours; deletes only what is so tagged, and named as ours. */
function scratchInstances(r: Resources): PolicyStatement[] {
  const tagged = scratch('aws:RequestTag', r);
  const parts = ['subgrp', 'pg', 'og', 'secgrp'].map((kind) => arn('rds', kind, '*', ':'));
  return [
    allow('rds:CreateDBInstance', [instances(r), ...parts], tagged),
    allow('rds:RestoreDBInstanceFromDBSnapshot', [instances(r), arn('rds', 'snapshot', '*', ':'), ...parts], tagged),
    // The source of a restore to a point in time is an instance too: it is read, not changed.
    allow('rds:RestoreDBInstanceToPointInTime', [arn('rds', 'db', '*', ':'), arn('rds', 'auto-backup', '*', ':'), ...parts], tagged),
    allow('rds:AddTagsToResource', [instances(r)], tagged),
    allow('rds:ModifyDBInstance', [instances(r), ...parts], scratch('aws:ResourceTag', r)),
    allow('rds:DescribeDBSnapshots', [arn('rds', 'db', '*', ':'), arn('rds', 'snapshot', '*', ':')]),
    // RDS makes the password of the master user, in the name of whoever creates the instance.
    allow(['secretsmanager:CreateSecret', 'secretsmanager:TagResource'], [arn('secretsmanager', 'secret', 'rds!db-*', ':')]),
    ...removal(r),
  ];
}

/** Gives the instance of a restore test a password that can be read, asks AWS Backup from when its data are, and tells it what the
 *  drill came to. */
function restoreTests(r: Resources): PolicyStatement[] {
  if (adopting(r.settings).length === 0) return [];
  return [
    allow('rds:ModifyDBInstance', [tested()], { Null: { [`aws:ResourceTag/${TESTED.tag}`]: 'false' } }),
    // They know no resources: https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsbackup.html
    allow(['backup:DescribeRestoreJob', 'backup:PutRestoreValidationResult'], ['*']),
  ];
}

/** Instances that AWS Backup's restore tests made, by their names. */
function tested(): string {
  return arn('rds', 'db', TESTED.instances, ':');
}

/** Finds scratch instances and removes them. */
function removal(r: Resources): PolicyStatement[] {
  return [
    allow(['rds:DescribeDBInstances', 'rds:ListTagsForResource'], [arn('rds', 'db', '*', ':')]),
    allow('rds:DeleteDBInstance', [instances(r)], scratch('aws:ResourceTag', r)),
  ];
}

/** The password of a scratch instance, or of one that a restore test made, and of no other. */
function scratchPassword(r: Resources): PolicyStatement {
  return allow('secretsmanager:GetSecretValue', [arn('secretsmanager', 'secret', 'rds!db-*', ':')], {
    StringLike: { 'secretsmanager:ResourceTag/aws:rds:primaryDBInstanceArn': adopting(r.settings).length === 0 ? instances(r) : [instances(r), tested()] },
  });
}
