//! The networks: the user's own, where databases are, and one that leads nowhere, for the scratch instances of drills.
import * as cdk from 'aws-cdk-lib';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as logs from 'aws-cdk-lib/aws-logs';
import * as rds from 'aws-cdk-lib/aws-rds';
import { Construct } from 'constructs';
import { Placement } from './functions';
import { Names, Settings } from './settings';

/** The network in which databases are reached, as the configuration names it. */
export class SourceNetwork extends Construct {
  readonly placement: Placement;
  /** For tasks that reach no database: in the same subnets, with a group that no database admits. */
  readonly apart: Placement;

  constructor(scope: Construct, id: string, settings: Settings, names: Names) {
    super(scope, id);
    const { vpc, vpc_endpoints, fargate_image } = settings.deploy;
    if (vpc === null) throw new Error('no network is configured');
    const imported = ec2.Vpc.fromVpcAttributes(this, 'Vpc', {
      vpcId: vpc.id,
      availabilityZones: vpc.availability_zones,
      privateSubnetIds: vpc.subnets,
    });
    const own = (): ec2.ISecurityGroup[] => [
      new ec2.SecurityGroup(this, 'Functions', {
        vpc: imported,
        description: 'Functions of Lifeboat that reach databases: admit this group on their ports',
        allowAllOutbound: true,
      }),
    ];
    const named = vpc.security_groups.map((group, index) => ec2.SecurityGroup.fromSecurityGroupId(this, `Group${index}`, group, { mutable: false }));
    const securityGroups = named.length > 0 ? named : own();
    // Whose route tables nobody asks for.
    for (const subnet of imported.privateSubnets) cdk.Annotations.of(subnet).acknowledgeWarning('@aws-cdk/aws-ec2:noSubnetRouteTableId');
    this.placement = { vpc: imported, subnets: imported.privateSubnets, securityGroups };
    const callers = [...securityGroups];
    this.apart = this.placement;
    if (fargate_image !== null) {
      const apart = new ec2.SecurityGroup(this, 'Apart', {
        vpc: imported,
        description: 'Tasks of Lifeboat that reach no database: admit this group to none',
        allowAllOutbound: false,
      });
      apart.addEgressRule(ec2.Peer.anyIpv4(), ec2.Port.tcp(443), 'The store and AWS services');
      this.apart = { ...this.placement, securityGroups: [apart] };
      callers.push(apart);
    }
    if (!vpc_endpoints) return;
    new ec2.CfnVPCEndpoint(this, 'S3', {
      vpcId: vpc.id,
      vpcEndpointType: 'Gateway',
      serviceName: serviceName('s3'),
      routeTableIds: vpc.route_tables,
    });
    // A functions' group that was named may let nothing in, and the one that is made does not.
    const admitting = new ec2.SecurityGroup(this, 'Endpoints', {
      vpc: imported,
      description: 'Endpoints of AWS services for Lifeboat: admit on 443 whoever else in this network calls these services',
      allowAllOutbound: false,
    });
    callers.forEach((group, index) => {
      new ec2.CfnSecurityGroupIngress(this, `EndpointsIn${index}`, {
        groupId: admitting.securityGroupId,
        sourceSecurityGroupId: group.securityGroupId,
        ipProtocol: 'tcp',
        fromPort: 443,
        toPort: 443,
        description: 'Functions and tasks of Lifeboat',
      });
    });
    const forTasks = fargate_image === null ? [] : ['ecs', 'ecr.api', 'ecr.dkr', 'logs'];
    endpoints(this, ['secretsmanager', 'events', 'sns', 'rds', ...forTasks], vpc.id, vpc.subnets, [admitting.securityGroupId], names);
  }
}

/**
 * A network without a way out or in: no internet, no NAT, no peering, so that nothing in it can reach a source. S3 and
 * the few services that `drill-data` calls are reached by endpoints.
 */
export class ScratchNetwork extends Construct {
  readonly placement: Placement;
  readonly subnetGroup: string;
  readonly instanceGroup: string;

  constructor(scope: Construct, id: string, props: { names: Names; logKey: cdk.aws_kms.IKey; store: string[]; configuration?: string[] }) {
    super(scope, id);
    const { names } = props;
    const vpc = new ec2.CfnVPC(this, 'Vpc', { cidrBlock: '10.99.0.0/24', enableDnsHostnames: true, enableDnsSupport: true, tags: name(names.of('drill')) });
    const subnets = [0, 1].map(
      (index) =>
        new ec2.CfnSubnet(this, `Subnet${index}`, {
          vpcId: vpc.ref,
          cidrBlock: `10.99.0.${index * 128}/25`,
          availabilityZone: cdk.Fn.select(index, cdk.Fn.getAzs()),
          mapPublicIpOnLaunch: false,
          tags: name(names.of('drill', String(index))),
        }),
    );
    const routes = new ec2.CfnRouteTable(this, 'Routes', { vpcId: vpc.ref, tags: name(names.of('drill')) });
    subnets.forEach((subnet, index) => new ec2.CfnSubnetRouteTableAssociation(this, `Route${index}`, { subnetId: subnet.ref, routeTableId: routes.ref }));

    const group = (id: string, description: string): ec2.CfnSecurityGroup =>
      new ec2.CfnSecurityGroup(this, id, {
        groupDescription: description,
        vpcId: vpc.ref,
        // A group that says nothing of what goes out lets everything out; this one lets out what is named below.
        securityGroupEgress: [{ ipProtocol: 'icmp', fromPort: 252, toPort: 86, cidrIp: '255.255.255.255/32', description: 'Nothing' }],
      });
    const data = group('Data', 'drill-data of Lifeboat');
    const instance = group('Instance', 'Scratch instances of Lifeboat: only drill-data reaches them');
    const services = group('Services', 'Endpoints of AWS services in the network of drills');
    const lets = (id: string, from: ec2.CfnSecurityGroup, to: ec2.CfnSecurityGroup, port: number, description: string): void => {
      const range = { ipProtocol: 'tcp', fromPort: port, toPort: port, description };
      new ec2.CfnSecurityGroupIngress(this, `${id}In`, { ...range, groupId: to.attrGroupId, sourceSecurityGroupId: from.attrGroupId });
      new ec2.CfnSecurityGroupEgress(this, `${id}Out`, { ...range, groupId: from.attrGroupId, destinationSecurityGroupId: to.attrGroupId });
    };
    lets('Postgres', data, instance, 5432, 'PostgreSQL');
    lets('Https', data, services, 443, 'AWS services');
    // S3 has no group of its own: its gateway is a route, and the bucket is the only one that the endpoint serves.
    new ec2.CfnSecurityGroupEgress(this, 'S3Out', {
      groupId: data.attrGroupId,
      ipProtocol: 'tcp',
      fromPort: 443,
      toPort: 443,
      cidrIp: '0.0.0.0/0',
      description: 'S3 through its gateway; there is no route to anything else',
    });
    new ec2.CfnVPCEndpoint(this, 'S3', {
      vpcId: vpc.ref,
      vpcEndpointType: 'Gateway',
      serviceName: serviceName('s3'),
      routeTableIds: [routes.ref],
      policyDocument: endpointPolicy(props.store, props.configuration),
    });
    // One zone is enough for a drill, and costs half.
    const wanted = ['secretsmanager', 'events', ...(props.configuration !== undefined ? ['ecr.api', 'ecr.dkr', 'logs'] : [])];
    endpoints(this, wanted, vpc.ref, [subnets[0]!.ref], [services.attrGroupId], names);
    flowLog(this, vpc, props.logKey, names);

    this.subnetGroup = names.of('drill');
    new rds.CfnDBSubnetGroup(this, 'SubnetGroup', {
      dbSubnetGroupName: this.subnetGroup,
      dbSubnetGroupDescription: 'Where drills of Lifeboat restore',
      subnetIds: subnets.map((subnet) => subnet.ref),
    });
    this.instanceGroup = instance.attrGroupId;
    const imported = ec2.Vpc.fromVpcAttributes(this, 'Imported', {
      vpcId: vpc.ref,
      availabilityZones: [0, 1].map((index) => cdk.Fn.select(index, cdk.Fn.getAzs())),
      isolatedSubnetIds: subnets.map((subnet) => subnet.ref),
      isolatedSubnetRouteTableIds: subnets.map(() => routes.ref),
    });
    this.placement = {
      vpc: imported,
      subnets: imported.isolatedSubnets,
      securityGroups: [ec2.SecurityGroup.fromSecurityGroupId(this, 'DataGroup', data.attrGroupId, { mutable: false })],
    };
  }
}

function name(value: string): cdk.CfnTag[] {
  return [{ key: 'Name', value }];
}

function serviceName(service: string): string {
  return `com.amazonaws.${cdk.Aws.REGION}.${service}`;
}

/** Out of the network of drills S3 serves Lifeboat's buckets only, so that nothing restored can be carried elsewhere. */
function endpointPolicy(buckets: string[], configuration?: string[]): unknown {
  const arn = (bucket: string): string => `arn:${cdk.Aws.PARTITION}:s3:::${bucket}`;
  // What a task needs to start: the image's layers, which lie in a bucket of ECR's own, and its configuration.
  const tasks = configuration === undefined ? [] : [`${arn(`prod-${cdk.Aws.REGION}-starport-layer-bucket`)}/*`, ...configuration];
  const statement = { Effect: 'Allow', Principal: '*', Action: ['s3:AbortMultipartUpload', 's3:DeleteObject', 's3:GetObject', 's3:GetObjectVersion', 's3:ListBucket', 's3:PutObject', 's3:RestoreObject'] };
  return {
    Version: '2012-10-17',
    Statement: [
      { ...statement, Resource: buckets.flatMap((bucket) => [arn(bucket), `${arn(bucket)}/*`]) },
      ...(tasks.length > 0 ? [{ Effect: 'Allow', Principal: '*', Action: 's3:GetObject', Resource: tasks }] : []),
    ],
  };
}

function endpoints(scope: Construct, services: string[], vpcId: string, subnetIds: string[], securityGroupIds: string[], names: Names): void {
  for (const service of services) {
    new ec2.CfnVPCEndpoint(scope, `Endpoint-${service}`, {
      vpcId,
      vpcEndpointType: 'Interface',
      serviceName: serviceName(service),
      subnetIds,
      securityGroupIds,
      privateDnsEnabled: true,
      tags: name(names.of(service)),
    });
  }
}

/** Who talked to whom in the network of drills. */
function flowLog(scope: Construct, vpc: ec2.CfnVPC, key: cdk.aws_kms.IKey, names: Names): void {
  const group = new logs.LogGroup(scope, 'FlowLogGroup', {
    logGroupName: `/aws/vpc/${names.of('drill')}`,
    retention: logs.RetentionDays.ONE_YEAR,
    encryptionKey: key,
    removalPolicy: cdk.RemovalPolicy.DESTROY,
  });
  const role = new iam.Role(scope, 'FlowLogRole', {
    assumedBy: new iam.ServicePrincipal('vpc-flow-logs.amazonaws.com', { conditions: { StringEquals: { 'aws:SourceAccount': cdk.Aws.ACCOUNT_ID } } }),
  });
  const policy = new iam.Policy(scope, 'FlowLogPolicy', {
    roles: [role],
    statements: [
      new iam.PolicyStatement({ actions: ['logs:CreateLogStream', 'logs:DescribeLogStreams', 'logs:PutLogEvents'], resources: [group.logGroupArn] }),
    ],
  });
  const flow = new ec2.CfnFlowLog(scope, 'FlowLog', {
    resourceType: 'VPC',
    resourceId: vpc.ref,
    trafficType: 'ALL',
    logDestinationType: 'cloud-watch-logs',
    logGroupName: group.logGroupName,
    deliverLogsPermissionArn: role.roleArn,
  });
  flow.node.addDependency(policy);
}
