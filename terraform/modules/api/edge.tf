# What the names, the firewall and the alarms need to know of the API.

variable "https" {
  description = "Whether there is a certificate. Its ARN may be unknown before an apply, this is not."
  type        = bool
}

output "balancer" {
  description = "The load balancer: where the API's name leads to, and what its metrics are called."
  value = {
    arn        = aws_lb.this.arn
    arn_suffix = aws_lb.this.arn_suffix
    dns_name   = aws_lb.this.dns_name
    zone_id    = aws_lb.this.zone_id
  }
}

output "target_groups" {
  description = "What the metrics of the target groups are called, by name."
  value       = { api = aws_lb_target_group.this.arn_suffix }
}
