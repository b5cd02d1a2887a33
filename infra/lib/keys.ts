//! The keys: one for what is stored, which outlives everything, and one for messages and logs.
import * as cdk from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as kms from 'aws-cdk-lib/aws-kms';
import { Construct } from 'constructs';

/** The key that backups are encrypted with. Whoever deletes it deletes every backup. */
export class StoreKey extends kms.Key {
  constructor(scope: Construct, id: string, alias: string) {
    super(scope, id, {
      alias,
      description: 'Encrypts the backups of Lifeboat. Without it no backup can be read.',
      enableKeyRotation: true,
      pendingWindow: cdk.Duration.days(30),
      removalPolicy: cdk.RemovalPolicy.RETAIN,
    });
  }
}

/** The key of topic and logs: services that write into them must be able to use it. */
export class OperationsKey extends kms.Key {
  constructor(scope: Construct, id: string, alias: string) {
    super(scope, id, {
      alias,
      description: 'Encrypts the alerts and logs of Lifeboat.',
      enableKeyRotation: true,
      removalPolicy: cdk.RemovalPolicy.DESTROY,
    });
    const stack = cdk.Stack.of(this);
    // CloudWatch's alarms and EventBridge's rules publish to an encrypted topic only with a right of their own.
    this.addToResourcePolicy(
      new iam.PolicyStatement({
        sid: 'AlarmsAndRulesPublish',
        principals: ['cloudwatch.amazonaws.com', 'events.amazonaws.com'].map((name) => new iam.ServicePrincipal(name)),
        actions: ['kms:Decrypt', 'kms:GenerateDataKey'],
        resources: ['*'],
        conditions: { StringEquals: { 'aws:SourceAccount': stack.account } },
      }),
    );
    this.addToResourcePolicy(
      new iam.PolicyStatement({
        sid: 'LogsAreEncrypted',
        principals: [new iam.ServicePrincipal(`logs.${stack.region}.amazonaws.com`)],
        actions: ['kms:Decrypt', 'kms:DescribeKey', 'kms:Encrypt', 'kms:GenerateDataKey', 'kms:ReEncryptFrom', 'kms:ReEncryptTo'],
        resources: ['*'],
        conditions: {
          ArnLike: { 'kms:EncryptionContext:aws:logs:arn': `arn:${stack.partition}:logs:${stack.region}:${stack.account}:*` },
        },
      }),
    );
  }
}
