variable "environment" {
  description = "Name of the environment."
  type        = string
}

variable "domain_name" {
  description = "Domain with a public hosted zone of that name in this account; null for no names and no certificates."
  type        = string
}

variable "api" {
  description = "Where the API's name leads to: the load balancer."
  type        = object({ dns_name = string, zone_id = string })
}

variable "web" {
  description = "Where the web app's name leads to: the distribution."
  type        = object({ dns_name = string, zone_id = string })
}
