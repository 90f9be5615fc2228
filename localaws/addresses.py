"""Loopback addresses: what stands in for the private addresses of a VPC.

True: an address belongs to one owner at a time, and servers on different ports never hand out the same one.
Not true: there is no network between them; everything reaches everything, whatever the security groups say.
"""

from threading import Lock

FIRST_HOST, LAST_HOST = 2, 254


class NoAddressLeftError(RuntimeError):
    """All addresses of this server are in use."""


class AddressPool:
    """Hands out addresses below 127.0.0.0/8; the port of the server picks the network.

    Parameters
    ----------
    port:
        Port of the server, 1 to 65535.
    """

    def __init__(self, port: int) -> None:
        self._network = f"127.{port >> 8 & 255}.{port & 255}"
        self._owners: dict[str, str] = {}
        self._lock = Lock()

    def allocate(self, owner: str) -> str:
        """Return an address for `owner`; asking again returns the same address.

        Raises
        ------
        NoAddressLeftError
            When all 253 are taken.
        """
        with self._lock:
            for address, holder in self._owners.items():
                if holder == owner:
                    return address
            for host in range(FIRST_HOST, LAST_HOST + 1):
                address = f"{self._network}.{host}"
                if address not in self._owners:
                    self._owners[address] = owner
                    return address
        raise NoAddressLeftError(f"all addresses of {self._network}.0/24 are in use")

    def release(self, owner: str) -> None:
        """Take the address of `owner` back; nothing happens when it has none."""
        with self._lock:
            self._owners = {address: holder for address, holder in self._owners.items() if holder != owner}

    @property
    def owners(self) -> dict[str, str]:
        """Who has which address."""
        with self._lock:
            return dict(self._owners)
