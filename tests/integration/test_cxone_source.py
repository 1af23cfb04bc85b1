"""The API source against a real server with every fault: what it reads, what it lands, what it refuses."""
