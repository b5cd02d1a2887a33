//! The CDK app as `make deploy` deploys it, on LocalStack's CloudFormation: rules tick, and nobody calls a step.

mod accept;
mod adopted;
mod fleet;
mod machine;
mod scheduled;
mod site;
