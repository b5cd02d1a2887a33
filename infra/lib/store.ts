//! Where backups live: bucket, control bucket and access logs, with what moves, expires and protects objects.
import * as cdk from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as kms from 'aws-cdk-lib/aws-kms';
import * as s3 from 'aws-cdk-lib/aws-s3';
import { Construct } from 'constructs';
import { DeploySettings, Settings, shortestTierDays } from './settings';

/** The tags that retention sets: shared/core/src/retention.rs. */
export const EXPIRE_TAG = 'lifeboat-expire';
export const MOVE_TAG = 'lifeboat-move';

/** The classes that retention may ask for, and how long an object must lie in STANDARD before S3 moves it there. */
export const MOVES: { storageClass: s3.StorageClass; afterDays: number }[] = [
  { storageClass: s3.StorageClass.INFREQUENT_ACCESS, afterDays: 30 },
  { storageClass: s3.StorageClass.GLACIER_INSTANT_RETRIEVAL, afterDays: 0 },
  { storageClass: s3.StorageClass.GLACIER, afterDays: 0 },
  { storageClass: s3.StorageClass.DEEP_ARCHIVE, afterDays: 0 },
];

/** How long what was removed or overwritten can still be taken back, in days. */
export const NONCURRENT_DAYS = 14;

/** A bucket and the prefix in it. */
export interface Place {
  bucket: string;
  /** Empty, or ending with '/'. */
  prefix: string;
}

/** `s3://bucket/prefix` → its parts; without a URL a name that no other account has. */
export function place(url: string | null, fallback: string): Place {
  if (url === null) return { bucket: fallback, prefix: '' };
  const [bucket = '', ...rest] = url.replace(/^s3:\/\//, '').replace(/\/+$/, '').split('/');
  return { bucket, prefix: rest.length > 0 ? `${rest.join('/')}/` : '' };
}

/** The URL that functions are given. */
export function urlOf({ bucket, prefix }: Place): string {
  return `s3://${bucket}/${prefix}`.replace(/\/$/, '');
}

/** Where everything is to lie. */
export function places(settings: Settings): { store: Place; control: Place; logs: string } {
  const fallback = `${settings.deploy.name}-${cdk.Aws.ACCOUNT_ID}-${cdk.Aws.REGION}`;
  const store = place(settings.store.url, fallback);
  // A control store that follows from the store's URL would lie in the same bucket; here it has one of its own.
  const written = settings.origins['control_store.url']?.startsWith('file') ? settings.control_store.url : null;
  const control = place(written, `${store.bucket}-control`);
  return { store, control, logs: `${store.bucket}-access-logs` };
}

export class Store extends Construct {
  readonly store: Place;
  readonly control: Place;
  readonly bucket: s3.Bucket;
  readonly controlBucket: s3.Bucket;

  constructor(scope: Construct, id: string, settings: Settings, key: kms.IKey) {
    super(scope, id);
    const { store, control, logs } = places(settings);
    this.store = store;
    this.control = control;

    const accessLogs = new s3.Bucket(this, 'AccessLogs', {
      ...ALWAYS,
      bucketName: logs,
      // S3 writes access logs only where its own keys encrypt.
      encryption: s3.BucketEncryption.S3_MANAGED,
      objectOwnership: s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
      lifecycleRules: [
        { id: 'forget', expiration: cdk.Duration.days(365), noncurrentVersionExpiration: cdk.Duration.days(1) },
        { id: 'unfinished-uploads', abortIncompleteMultipartUploadAfter: cdk.Duration.days(1) },
      ],
    });
    const bucket = (name: string, props: s3.BucketProps): s3.Bucket =>
      new s3.Bucket(this, name, {
        ...ALWAYS,
        encryption: s3.BucketEncryption.KMS,
        encryptionKey: key,
        bucketKeyEnabled: true,
        serverAccessLogsBucket: accessLogs,
        serverAccessLogsPrefix: `${name.toLowerCase()}/`,
        ...props,
      });
    this.bucket = bucket('Backups', {
      bucketName: store.bucket,
      lifecycleRules: lifecycle(store.prefix),
      ...objectLock(settings),
    });
    onlyNewKeys(this.bucket);
    const reason = 'CloudFormation takes the number; the library writes what its type says';
    cdk.Validations.of(this.bucket).acknowledge({ id: 'CloudFormation-Validate::W9003', reason });
    // Leases and run keys change: no lock may ever lie on them.
    this.controlBucket = bucket('Control', {
      bucketName: control.bucket,
      lifecycleRules: [
        { id: 'noncurrent', noncurrentVersionExpiration: cdk.Duration.days(NONCURRENT_DAYS) },
        { id: 'old-run-keys', prefix: `${control.prefix}runs/`, expiration: cdk.Duration.days(90) },
        { id: 'old-reports-of-maintenance', prefix: `${control.prefix}maintenance/`, expiration: cdk.Duration.days(400) },
        { id: 'delete-markers', expiredObjectDeleteMarker: true },
        { id: 'unfinished-uploads', abortIncompleteMultipartUploadAfter: cdk.Duration.days(1) },
      ],
    });
    if (settings.deploy.replica !== null) replicate(this, this.bucket, settings.deploy, store, key);
  }
}

/** What holds for every bucket. */
export const ALWAYS = {
  blockPublicAccess: s3.BlockPublicAccess.BLOCK_ALL,
  enforceSSL: true,
  minimumTLSVersion: 1.2,
  versioned: true,
  removalPolicy: cdk.RemovalPolicy.RETAIN,
} as const;

/** What S3 does by itself: it moves and removes what retention has tagged, and nothing else of a backup. */
export function lifecycle(prefix: string): s3.LifecycleRule[] {
  return [
    ...MOVES.map(({ storageClass, afterDays }) => ({
      id: `move-to-${storageClass.value.toLowerCase().replaceAll('_', '-')}`,
      prefix: prefix === '' ? undefined : prefix,
      tagFilters: { [MOVE_TAG]: storageClass.value },
      // Smaller ones cost more there than in STANDARD.
      objectSizeGreaterThan: 128 * 1024 - 1,
      transitions: [{ storageClass, transitionAfter: cdk.Duration.days(afterDays) }],
    })),
    {
      id: 'expire',
      prefix: prefix === '' ? undefined : prefix,
      tagFilters: { [EXPIRE_TAG]: 'true' },
      // From the object's creation: what is tagged is days old, and goes at S3's next round.
      expiration: cdk.Duration.days(1),
    },
    { id: 'noncurrent', noncurrentVersionExpiration: cdk.Duration.days(NONCURRENT_DAYS) },
    // S3 wants this in a rule of its own.
    { id: 'delete-markers', expiredObjectDeleteMarker: true },
    { id: 'unfinished-uploads', abortIncompleteMultipartUploadAfter: cdk.Duration.days(7) },
    // What each run leaves behind that has tried whether a key can be overwritten.
    { id: 'probes', prefix: `${prefix}.control/probe/`, expiration: cdk.Duration.days(1) },
  ];
}

/** Locks whatever is written, for as long as the shortest tier lasts. */
export function objectLock(settings: Settings): Partial<s3.BucketProps> {
  const mode = settings.deploy.object_lock;
  if (mode === 'off') return {};
  const duration = cdk.Duration.days(shortestTierDays(settings));
  const retention = mode === 'compliance' ? s3.ObjectLockRetention.compliance(duration) : s3.ObjectLockRetention.governance(duration);
  return { objectLockEnabled: true, objectLockDefaultRetention: retention };
}

/**
 * Whatever is written must be new: a stolen role cannot overwrite a backup. Parts of a multipart upload carry no
 * condition; the request that completes it does, and it is an object creation.
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes-enforce.html
 */
function onlyNewKeys(bucket: s3.Bucket): void {
  bucket.addToResourcePolicy(
    new iam.PolicyStatement({
      sid: 'OnlyNewKeys',
      effect: iam.Effect.DENY,
      principals: [new iam.AnyPrincipal()],
      actions: ['s3:PutObject'],
      resources: [bucket.arnForObjects('*')],
      conditions: { Null: { 's3:if-none-match': 'true' }, Bool: { 's3:ObjectCreationOperation': 'true' } },
    }),
  );
}

/** Where the replica lies: a bucket that exists, or the one of the replica's own stack. */
export function replicaBucket(deploy: DeploySettings, store: Place): string {
  return deploy.replica?.bucket ?? `${store.bucket}-replica`;
}

export function replicaAlias(name: string): string {
  return `alias/${name}-replica`;
}

/** Copies every new object. Delete markers stay here: what expires, or is deleted by a thief, stays there. */
function replicate(scope: Construct, bucket: s3.Bucket, deploy: DeploySettings, store: Place, key: kms.IKey): void {
  const replica = deploy.replica!;
  const stack = cdk.Stack.of(scope);
  // By its name: the bucket waits for the policy, which must not wait for the bucket.
  const source = `arn:${stack.partition}:s3:::${store.bucket}`;
  const target = `arn:${stack.partition}:s3:::${replicaBucket(deploy, store)}`;
  const account = replica.account ?? stack.account;
  const targetKey = replica.kms_key ?? `arn:${stack.partition}:kms:${replica.region}:${account}:${replicaAlias(deploy.name)}`;
  const role = new iam.Role(scope, 'Replication', {
    description: 'S3 copies backups to the replica',
    assumedBy: new iam.ServicePrincipal('s3.amazonaws.com', { conditions: { StringEquals: { 'aws:SourceAccount': stack.account } } }),
  });
  const policy = new iam.Policy(scope, 'ReplicationPolicy', {
    roles: [role],
    statements: [
      new iam.PolicyStatement({ actions: ['s3:GetReplicationConfiguration', 's3:ListBucket'], resources: [source] }),
      new iam.PolicyStatement({
        actions: [
          's3:GetObjectVersionForReplication',
          's3:GetObjectVersionAcl',
          's3:GetObjectVersionTagging',
          // Copied with the object: https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock-managing.html
          ...(deploy.object_lock === 'off' ? [] : ['s3:GetObjectRetention', 's3:GetObjectLegalHold']),
        ],
        resources: [`${source}/*`],
      }),
      // No s3:ReplicateDelete: nothing that happens here removes anything there.
      new iam.PolicyStatement({
        actions: ['s3:ReplicateObject', 's3:ReplicateTags', 's3:ObjectOwnerOverrideToBucketOwner'],
        resources: [`${target}/*`],
      }),
      new iam.PolicyStatement({ actions: ['kms:Decrypt'], resources: [key.keyArn] }),
      new iam.PolicyStatement(
        replica.kms_key !== null
          ? { actions: ['kms:Encrypt'], resources: [replica.kms_key] }
          : {
              actions: ['kms:Encrypt'],
              resources: [`arn:${stack.partition}:kms:${replica.region}:${account}:key/*`],
              conditions: { 'ForAnyValue:StringEquals': { 'kms:ResourceAliases': replicaAlias(deploy.name) } },
            },
      ),
    ],
  });
  const resource = bucket.node.defaultChild as s3.CfnBucket;
  resource.replicationConfiguration = {
    role: role.roleArn,
    rules: [
      {
        id: 'everything',
        priority: 1,
        status: 'Enabled',
        filter: {},
        deleteMarkerReplication: { status: 'Disabled' },
        sourceSelectionCriteria: { sseKmsEncryptedObjects: { status: 'Enabled' } },
        destination: {
          bucket: target,
          encryptionConfiguration: { replicaKmsKeyId: targetKey },
          ...(replica.account === null ? {} : { account: replica.account, accessControlTranslation: { owner: 'Destination' } }),
        },
      },
    ],
  };
  resource.node.addDependency(policy);
}
