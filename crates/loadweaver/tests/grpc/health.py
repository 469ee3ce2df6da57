"""A gRPC server with grpcio's own health service. Arguments: port, a file that says how its services are (a line
`service=STATUS` each, the whole server without a name), and certificate and key for TLS."""
import sys
import time
from concurrent import futures

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

statuses = health_pb2.HealthCheckResponse.ServingStatus
servicer = health.HealthServicer()
server = grpc.server(futures.ThreadPoolExecutor(4))
health_pb2_grpc.add_HealthServicer_to_server(servicer, server)


def follow(path):
    with open(path) as file:
        for line in file:
            if line.endswith("\n"):
                service, status = line.strip().split("=")
                servicer.set(service, statuses.Value(status))


follow(sys.argv[2])
address = f"127.0.0.1:{sys.argv[1]}"
if len(sys.argv) > 3:
    cert, key = (open(name, "rb").read() for name in sys.argv[3:5])
    server.add_secure_port(address, grpc.ssl_server_credentials([(key, cert)]))
else:
    server.add_insecure_port(address)
server.start()
while True:
    time.sleep(0.02)
    follow(sys.argv[2])
