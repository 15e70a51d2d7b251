package main

// The images of the containers. docker-compose.yml has the same ones, which a test checks.
const (
	postgresImage = "postgres:17.6-alpine"
	rabbitmqImage = "rabbitmq:4.1.3-management-alpine"
)
