"""tests/fault/every_fault.py -- all faults by name: FAULTS[name]() is one."""
import faults
from faults_lost import FAULTS_LOST
from faults_net import FAULTS_NET
from faults_sentinel import FAULTS_SENTINEL
from power import FAULTS_POWER

FAULTS = {**faults.FAULTS, **FAULTS_LOST, **FAULTS_NET, **FAULTS_POWER, **FAULTS_SENTINEL}
