# Terraform's mock providers know no ephemeral resources: here the secret is only an ARN. That it is made without a trace in
# the state is tested where there is a provider.
output "arn" {
  description = "The secret."
  value       = "arn:aws:secretsmanager:us-east-1:123456789012:secret:${var.name}-AbCdEf"
}
