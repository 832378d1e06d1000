"""A client of the users' service in Python, without generated code: the messages are what users.proto says when it starts.

    client.py HOST:PORT watch [COUNT]            each change, as it happens; ends after COUNT of them
    client.py HOST:PORT create NAME EMAIL        says the new user's id
    client.py HOST:PORT get ID                   likewise update ID NAME EMAIL, delete ID, list
"""

import sys

import grpc

# Looks for the file beside this one, where Python looks for modules.
messages, services = grpc.protos_and_services("users.proto")
MOST_SECONDS = 5


def said(user):
    return f"{user.name} <{user.email}> version {user.version}"


def watch(service, count=0):
    changes = service.WatchUsers(messages.WatchUsersRequest())
    changes.initial_metadata()  # has come: from here on nothing is missed
    print("watching", flush=True)
    for seen, change in enumerate(changes, 1):
        print(messages.Change.Type.Name(change.type), said(change.user), flush=True)
        if seen == int(count):
            return changes.cancel()


def create(service, name, email):
    request = messages.CreateUserRequest(name=name, email=email)
    print(service.CreateUser(request, timeout=MOST_SECONDS).id)


def get(service, user):
    print(said(service.GetUser(messages.GetUserRequest(id=user), timeout=MOST_SECONDS)))


def update(service, user, name, email):
    request = messages.UpdateUserRequest(id=user, name=name, email=email)
    print(said(service.UpdateUser(request, timeout=MOST_SECONDS)))


def delete(service, user):
    service.DeleteUser(messages.DeleteUserRequest(id=user), timeout=MOST_SECONDS)


def list_users(service):
    for user in service.ListUsers(messages.ListUsersRequest(), timeout=MOST_SECONDS):
        print(user.id, said(user))


COMMANDS = {"watch": watch, "create": create, "get": get, "update": update, "delete": delete, "list": list_users}

if __name__ == "__main__":
    address, command, *rest = sys.argv[1:]
    with grpc.insecure_channel(address) as channel:
        try:
            COMMANDS[command](services.UserServiceStub(channel), *rest)
        except grpc.RpcError as error:
            sys.exit(f"{error.code().name}: {error.details()}")
