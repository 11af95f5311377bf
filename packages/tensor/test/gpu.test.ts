/** The gpu backend on devices of plain JavaScript; `gpu.full.test.ts` has the devices of this machine. */
import { examplesOfEveryStatement } from './every-statement.ts';
import { cramped } from './gpu-devices.ts';
import { describeGpu } from './gpu-suite.ts';
import { HostDevice } from './host-device.ts';
import { opExamples } from './op-examples.ts';

describeGpu({ title: 'plain JavaScript', device: new HostDevice() }, opExamples);
describeGpu(cramped, examplesOfEveryStatement());
