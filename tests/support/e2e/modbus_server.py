# SPDX-License-Identifier: Apache-2.0
"""A Modbus server of two units made of pymodbus: unit U holds U * 100 + N in holding register N.

usage: modbus_server.py tcp|rtu PORT        RTU frames over TCP with `rtu`
"""

import sys

from pymodbus.datastore import ModbusSequentialDataBlock, ModbusServerContext, ModbusSlaveContext
from pymodbus.server import StartTcpServer


def rtu_framer():
    try:
        from pymodbus.framer.rtu_framer import ModbusRtuFramer  # 3.0, Debian 12

        return ModbusRtuFramer
    except ImportError:
        from pymodbus import FramerType

        return FramerType.RTU


def main():
    options = {"framer": rtu_framer()} if sys.argv[1] == "rtu" else {}
    units = {
        unit: ModbusSlaveContext(hr=ModbusSequentialDataBlock(1, [unit * 100 + number for number in range(10)]))
        for unit in (1, 2)
    }
    context = ModbusServerContext(slaves=units, single=False)
    StartTcpServer(context=context, address=("127.0.0.1", int(sys.argv[2])), **options)


if __name__ == "__main__":
    main()
