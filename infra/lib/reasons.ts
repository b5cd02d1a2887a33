//! Why findings of cdk-nag are no faults here: each with its reason in writing. A finding without one fails the synthesis' check.
import * as cdk from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import { IConstruct } from 'constructs';

/** Wildcards in resources, by what they look like, and why they stand there. What matches none is a finding. */
const WILDCARDS: [RegExp, string][] = [
  [/^arn:<AWS::Partition>:logs:.*:log-group:[^*]+:\*$/, 'the streams of its own log group, which are named when they are made'],
  [/^arn:<AWS::Partition>:s3:::[^*]+\/\*$/, 'keys below a folder of one bucket: they hold times and random names; which folders a role has is proved by test/rights.test.ts'],
  [/^arn:<AWS::Partition>:s3:::[^*]+\*\/[a-zA-Z]+(\/\*(-[a-z]+\.json)?|\.json|\.sql|\.md)$/, "one kind of object of any backup: a backup's name is its time"],
  [/^<[^>]+\.Arn>\/\*$/, 'keys of the bucket that is replicated'],
  [/:db:[a-z0-9-]+-drill-\*$/, 'scratch instances are named by the drill that makes them; the request must tag them, or the instance be tagged, as scratch'],
  [/:db:awsbackup-restore-test-\*$/, "AWS Backup names the instances of its restore tests so; a condition admits what carries its tag"],
  [/:(db|snapshot|auto-backup):\*$/, 'read for a drill of any source; what is created must be tagged as scratch, and nothing else is changed'],
  [/:(subgrp|pg|og|secgrp):\*$/, 'groups that an instance is made with: RDS asks for the right to use them, and the configuration names them'],
  [/:secret:rds!db-\*$/, 'RDS names the secret of an instance; a condition admits those of scratch instances only, or the making of new ones'],
  [/:secret:[^*]+\/\*$/, 'the folder of the secrets of one kind of a fleet, which are too many to be named in a policy; synthesis refuses a folder that holds others'],
  [/:dbuser:\*\/[a-z0-9_]+$/, "one user; the database's resource id stands in no URL"],
  [/:identity\/\*$/, 'a condition admits the configured senders only'],
  [/:execution:[^*]+:\*$/, 'executions of the machine itself, as a Distributed Map starts them, and of drills, which it waits for'],
  [/:task\/\*$/, 'tasks are named when they start; a condition admits those of the one cluster'],
  [/:task-definition\/[a-z0-9-]+:\*$/, 'revisions of its one task: while a deployment goes on, what starts it is still told of the one before'],
  [/:key\/\*$/, 'a key of another region, known by its alias: a condition admits this alias only'],
];

/** Actions that know no resource. */
const NOWHERE = 'tracing, network interfaces, delivery of logs, tokens of registries and results of restore tests know no resources; test/rights.test.ts holds the list of actions';

/** Acknowledges what has a reason. */
export function giveReasons(root: IConstruct): void {
  const because = (construct: IConstruct, id: string, reason: string): void => cdk.Validations.of(construct).acknowledge({ id, reason });
  for (const construct of root.node.findAll()) {
    if (!(construct instanceof cdk.CfnResource)) continue;
    if (construct instanceof iam.CfnPolicy) {
      for (const wildcard of wildcards(construct)) {
        const reason = wildcard === '*' ? NOWHERE : WILDCARDS.find(([pattern]) => pattern.test(wildcard))?.[1];
        if (reason !== undefined) because(construct, `AwsSolutions::AwsSolutions-IAM5[Resource::${wildcard}]`, reason);
      }
    }
    const { cfnResourceType: type } = construct;
    const path = construct.node.path;
    if (type === 'AWS::Lambda::Function') {
      because(construct, 'Serverless::Serverless-LambdaDLQ', 'its on-failure destination holds the request and the error; a dead-letter queue holds the request alone');
    }
    if (type === 'AWS::SQS::Queue' && path.includes('/DeadLetters/')) {
      because(construct, 'Serverless::Serverless-SQSRedrivePolicy', 'it is the queue of dead letters itself');
    }
    if (type === 'AWS::Lambda::EventSourceMapping') {
      because(construct, 'Serverless::Serverless-LambdaEventSourceMappingDestination', "the queue's own redrive policy keeps what could not be worked off");
    }
    if (type === 'AWS::SNS::Subscription' && path.includes('/Email')) {
      because(construct, 'Serverless::Serverless-SNSRedrivePolicy', 'SNS redrives no mail');
    }
    if (type === 'AWS::S3::Bucket' && path.includes('/AccessLogs/')) {
      because(construct, 'AwsSolutions::AwsSolutions-S1', 'it is the bucket of access logs itself');
    }
    if (type === 'AWS::S3::Bucket' && path.includes('/Replica/')) {
      because(construct, 'AwsSolutions::AwsSolutions-S1', 'the replica is written by S3 alone; who reads it is told by CloudTrail');
    }
    if (type === 'AWS::EC2::SecurityGroup' && path.includes('/Sources/')) {
      because(construct, 'AwsSolutions::AwsSolutions-EC23', 'it lets nothing in, or functions to the endpoints');
    }
    if (type === 'AWS::ECS::TaskDefinition') {
      because(construct, 'AwsSolutions::AwsSolutions-ECS2', 'the variables are names of buckets and of the bus; no secret is among them');
    }
  }
}

/** Resources with wildcards, as cdk-nag writes them. */
function wildcards(policy: iam.CfnPolicy): string[] {
  const document = cdk.Stack.of(policy).resolve(policy.policyDocument) as { Statement: { Resource?: unknown }[] };
  const resources = document.Statement.flatMap(({ Resource }) => (Array.isArray(Resource) ? Resource : [Resource])).map(flat);
  return [...new Set(resources.filter((resource) => resource.includes('*')))];
}

function flat(value: unknown): string {
  if (typeof value === 'string') return value;
  const [key, inner] = Object.entries((value ?? {}) as { [key: string]: unknown })[0] ?? [];
  if (key === 'Ref') return `<${String(inner)}>`;
  if (key === 'Fn::GetAtt') return `<${(inner as string[]).join('.')}>`;
  if (key === 'Fn::Join') return (inner as [string, unknown[]])[1].map(flat).join((inner as [string, unknown[]])[0]);
  return `<${JSON.stringify(value)}>`;
}
