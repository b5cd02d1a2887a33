//! What must outlive everything else: buckets and the key, retained and protected, in a stack of their own.
import * as cdk from 'aws-cdk-lib';
import * as s3 from 'aws-cdk-lib/aws-s3';
import { Construct } from 'constructs';
import { StoreKey } from './keys';
import { Settings } from './settings';
import { ALWAYS, NONCURRENT_DAYS, Store, objectLock, places, replicaAlias, replicaBucket } from './store';

export class DataStack extends cdk.Stack {
  readonly key: StoreKey;
  readonly store: Store;

  constructor(scope: Construct, id: string, settings: Settings, props: cdk.StackProps) {
    super(scope, id, {
      ...props,
      description: 'Lifeboat: the backups and their key. Deleting this stack deletes no backup.',
      terminationProtection: true,
    });
    this.key = new StoreKey(this, 'StoreKey', `alias/${settings.deploy.name}-store`);
    this.store = new Store(this, 'Store', settings, this.key);
  }
}

/** The second copy, in another region of the same account. */
export class ReplicaStack extends cdk.Stack {
  constructor(scope: Construct, id: string, settings: Settings, props: cdk.StackProps) {
    super(scope, id, { ...props, description: 'Lifeboat: the second copy of the backups.', terminationProtection: true });
    const key = new StoreKey(this, 'ReplicaKey', replicaAlias(settings.deploy.name));
    new s3.Bucket(this, 'Replica', {
      ...ALWAYS,
      bucketName: replicaBucket(settings.deploy, places(settings).store),
      encryption: s3.BucketEncryption.KMS,
      encryptionKey: key,
      bucketKeyEnabled: true,
      // No rule follows the tags of retention: what is to expire at home stays here until a person removes it.
      lifecycleRules: [
        { id: 'noncurrent', noncurrentVersionExpiration: cdk.Duration.days(NONCURRENT_DAYS) },
        { id: 'unfinished-uploads', abortIncompleteMultipartUploadAfter: cdk.Duration.days(7) },
      ],
      // S3 copies what is locked only to where it stays locked; what a restore in an emergency writes here is locked too.
      ...objectLock(settings),
    });
  }
}
