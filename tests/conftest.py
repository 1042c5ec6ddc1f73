"""What every test runs under."""

import torch

# On a busy machine with few cores torch's threads wait for each other; tiny tensors need only one.
torch.set_num_threads(1)
