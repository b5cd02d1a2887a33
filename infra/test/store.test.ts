//! What keeps backups: protection, lifecycle and the second copy, in the stack that outlives the others.
import { beforeAll, describe, expect, it } from 'vitest';
import { Resource, Synthesised, ofType, one, resolve, settingsOf, synthesise } from './harness';
import { Statement, may, roles } from './policies';

let small: Synthesised;
let large: Synthesised;

beforeAll(async () => {
  small = await synthesise(settingsOf('small'));
  large = await synthesise(settingsOf('large'));
});

/** The rules of a bucket by their ids. */
function rules(bucket: Resource): { [id: string]: any } {
  return Object.fromEntries(bucket.Properties.LifecycleConfiguration.Rules.map((rule: any) => [rule.Id, rule]));
}

/** The rights of the role by which S3 copies. */
function replication({ templates }: Synthesised): Statement[] {
  const data = templates.AcmeProdData!;
  const [found, ...others] = roles(data).filter(([id]) => data.Resources[id]!.Properties.Description === 'S3 copies backups to the replica');
  expect(others).toEqual([]);
  return found![1];
}

describe('buckets and keys', () => {
  it('outlive their stack, and the stack refuses to be deleted', () => {
    for (const { templates, folder } of [small, large]) {
      expect(folder).toBeTruthy();
      for (const [stack, template] of Object.entries(templates)) {
        for (const type of ['AWS::S3::Bucket', 'AWS::KMS::Key']) {
          for (const [id, resource] of ofType(template, type)) {
            if (id.startsWith('OperationsKey')) continue;
            expect([resource.DeletionPolicy, resource.UpdateReplacePolicy], `${stack} ${id}`).toEqual(['Retain', 'Retain']);
          }
        }
      }
    }
    expect(small.protectedStacks).toEqual(['LifeboatData']);
    expect(large.protectedStacks).toEqual(['AcmeProdData', 'AcmeProdReplica']);
  });

  it('are versioned, private, encrypted, and logged where S3 can', () => {
    for (const [, bucket] of ofType(large.templates.AcmeProdData!, 'AWS::S3::Bucket')) {
      const p = bucket.Properties;
      expect(p.VersioningConfiguration).toEqual({ Status: 'Enabled' });
      expect(Object.values(p.PublicAccessBlockConfiguration)).toEqual([true, true, true, true]);
      expect(p.BucketEncryption.ServerSideEncryptionConfiguration).toHaveLength(1);
    }
    const logged = ofType(large.templates.AcmeProdData!, 'AWS::S3::Bucket').filter(([, b]) => b.Properties.LoggingConfiguration !== undefined);
    expect(logged.map(([, b]) => b.Properties.BucketName)).toEqual(['acme-lifeboat', 'acme-lifeboat-state']);
  });

  it('are locked by choice, for no longer than the shortest tier, and the control store never', () => {
    const locked = one(large.templates.AcmeProdData!, 'AWS::S3::Bucket', 'BucketName', 'acme-lifeboat');
    expect(locked.Properties.ObjectLockConfiguration.Rule.DefaultRetention).toEqual({ Days: 7, Mode: 'GOVERNANCE' });
    const control = one(large.templates.AcmeProdData!, 'AWS::S3::Bucket', 'BucketName', 'acme-lifeboat-state');
    expect(control.Properties.ObjectLockEnabled).toBeUndefined();
    expect(one(small.templates.LifeboatData!, 'AWS::S3::Bucket', 'BucketName', 'acme-lifeboat').Properties.ObjectLockEnabled).toBeUndefined();
  });
});

describe('the lifecycle of backups', () => {
  const of = (): { [id: string]: any } => rules(one(small.templates.LifeboatData!, 'AWS::S3::Bucket', 'BucketName', 'acme-lifeboat'));

  it('moves what retention has tagged to each class, and nothing that is too small for it', () => {
    const moves = Object.values(of()).filter((rule) => rule.Transitions !== undefined);
    expect(moves.map((rule) => rule.Transitions[0].StorageClass).sort()).toEqual(['DEEP_ARCHIVE', 'GLACIER', 'GLACIER_IR', 'STANDARD_IA']);
    for (const rule of moves) {
      const [{ StorageClass, TransitionInDays }] = rule.Transitions;
      expect(rule.TagFilters).toEqual([{ Key: 'lifeboat-move', Value: StorageClass }]);
      expect(TransitionInDays).toBe(StorageClass === 'STANDARD_IA' ? 30 : 0);
      expect(Number(rule.ObjectSizeGreaterThan)).toBe(128 * 1024 - 1);
      expect([rule.Prefix, rule.ExpirationInDays]).toEqual(['pg/', undefined]);
    }
  });

  it('removes current objects of backups only where retention has tagged them', () => {
    const expiring = Object.entries(of()).filter(([, rule]) => rule.ExpirationInDays !== undefined || rule.ExpirationDate !== undefined);
    const untagged = expiring.filter(([, rule]) => rule.TagFilters === undefined);
    expect(untagged.map(([id, rule]) => [id, rule.Prefix])).toEqual([['probes', 'pg/.control/probe/']]);
    const tagged = expiring.filter(([, rule]) => rule.TagFilters !== undefined);
    expect(tagged.map(([id, rule]) => [id, rule.TagFilters])).toEqual([['expire', [{ Key: 'lifeboat-expire', Value: 'true' }]]]);
  });

  it('keeps what was removed for two weeks, and sweeps markers and unfinished uploads', () => {
    const found = of();
    for (const rule of Object.values(found)) {
      const days = rule.NoncurrentVersionExpiration?.NoncurrentDays;
      if (days !== undefined) expect(days).toBeGreaterThanOrEqual(14);
    }
    expect(found.noncurrent.NoncurrentVersionExpiration.NoncurrentDays).toBe(14);
    // S3 refuses this beside another expiry.
    expect(Object.keys(found['delete-markers']).sort()).toEqual(['ExpiredObjectDeleteMarker', 'Id', 'Status']);
    expect(found['unfinished-uploads'].AbortIncompleteMultipartUpload.DaysAfterInitiation).toBe(7);
  });
});

describe('the second copy', () => {
  it('takes every new object, and no removal', () => {
    const bucket = one(large.templates.AcmeProdData!, 'AWS::S3::Bucket', 'BucketName', 'acme-lifeboat');
    const [rule, ...others] = bucket.Properties.ReplicationConfiguration.Rules;
    expect(others).toEqual([]);
    expect([rule.Status, rule.DeleteMarkerReplication.Status, rule.Filter]).toEqual(['Enabled', 'Disabled', {}]);
    expect(resolve(large.templates.AcmeProdData!, rule.Destination.Bucket)).toBe('arn:aws:s3:::acme-lifeboat-replica');
  });

  it('obeys no tag of retention: what expires at home stays there', () => {
    const [[, replica], ...others] = ofType(large.templates.AcmeProdReplica!, 'AWS::S3::Bucket') as [[string, Resource]];
    expect(others).toEqual([]);
    for (const rule of Object.values(rules(replica))) {
      expect([rule.TagFilters, rule.ExpirationInDays, rule.Transitions]).toEqual([undefined, undefined, undefined]);
    }
  });

  it('is locked as the first: S3 copies what is locked nowhere else', () => {
    const bucketOf = (stack: string, name: string): any => one(large.templates[stack]!, 'AWS::S3::Bucket', 'BucketName', name).Properties;
    const replica = bucketOf('AcmeProdReplica', 'acme-lifeboat-replica');
    expect(replica.ObjectLockEnabled).toBe(true);
    expect(replica.ObjectLockConfiguration).toEqual(bucketOf('AcmeProdData', 'acme-lifeboat').ObjectLockConfiguration);
  });

  it('is written by a role that reads locks, where there are any, and can change none', async () => {
    const locked = replication(large);
    const unlocked = replication(await synthesise({ ...large.settings, deploy: { ...large.settings.deploy, object_lock: 'off' } }));
    const object = 'arn:aws:s3:::acme-lifeboat/orders/20261120T020004Z-k3vd/manifest.json';
    for (const action of ['s3:GetObjectRetention', 's3:GetObjectLegalHold']) {
      expect([may(locked, action, object), may(unlocked, action, object)], action).toEqual([true, false]);
    }
    for (const action of ['s3:PutObjectRetention', 's3:PutObjectLegalHold', 's3:BypassGovernanceRetention', 's3:ReplicateDelete']) {
      for (const bucket of ['acme-lifeboat', 'acme-lifeboat-replica']) {
        expect(may(locked, action, object.replace('acme-lifeboat', bucket)), action).toBe(false);
      }
    }
  });

  it('is not made where none is asked for', () => {
    expect(Object.keys(small.templates).sort()).toEqual(['Lifeboat', 'LifeboatData']);
  });
});
