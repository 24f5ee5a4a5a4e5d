"""A whole model: text encoder, UNet and VAE, from a couplet.spec; and the names its tensors have in a file."""

import contextlib

import torch
from torch import nn

from text_encoder import TextEncoder
from unet import UNet
from vae import VAE

TEXT_PREFIX = "cond_stage_model.transformer.text_model."
UNET_PREFIX = "model.diffusion_model."
VAE_PREFIX = "first_stage_model."


def spec_of(settings, vocab_size):
    """The couplet.spec of a model that is about to be trained; what training finds out comes in later."""
    text, unet, vae = settings.text, settings.unet, settings.vae
    depth = [1] * len(unet.channel_mult)
    return {
        "family": "sd1",
        "unet": {"in_channels": vae.z_channels, "model_channels": unet.model_channels,
                 "channel_mult": unet.channel_mult, "num_res_blocks": unet.num_res_blocks, "transformer_depth": depth,
                 "transformer_depth_middle": 1, "num_heads": -1, "num_head_channels": unet.num_head_channels,
                 "context_dim": text.width, "use_linear_in_transformer": False, "adm_in_channels": 0,
                 "norm_groups": unet.norm_groups},
        "vae": {"ch": vae.ch, "ch_mult": vae.ch_mult, "ch_mult_decoder": vae.ch_mult_decoder,
                "num_res_blocks": vae.num_res_blocks, "z_channels": vae.z_channels, "scaling_factor": 1.0,
                "norm_groups": vae.norm_groups},
        "text": [{"prefix": TEXT_PREFIX, "layout": "hf", "width": text.width, "layers": text.layers,
                  "heads": text.heads, "activation": "quick_gelu", "context_length": text.context_length,
                  "vocab_size": vocab_size}],
        "prediction": "epsilon", "beta_start": 0.00085, "beta_end": 0.012, "num_train_timesteps": 1000,
        "defaults": vars(settings.defaults),
    }


class Denoiser(nn.Module):
    """What is trained together: the UNet and the text encoder that it hears."""

    def __init__(self, spec):
        super().__init__()
        text = spec["text"][0]
        self.text = TextEncoder(text["vocab_size"], text["width"], text["layers"], text["heads"],
                                text["context_length"])
        self.unet = UNet(spec["unet"])

    def conditioning(self, ids):
        """ids: [n, regions, context_length]. A text that comes often is encoded once."""
        unique, where = torch.unique(ids.flatten(0, 1), dim=0, return_inverse=True)
        return self.text(unique)[where].reshape(*ids.shape, -1)


def named_tensors(denoiser, vae):
    """Every tensor under its name in a checkpoint."""
    parts = ((TEXT_PREFIX, denoiser.text), (UNET_PREFIX, denoiser.unet), (VAE_PREFIX, vae))
    return {prefix + name: value for prefix, part in parts for name, value in part.state_dict().items()}


def fill(part, prefix, tensors):
    """The part's parameters from a checkpoint's tensors (numpy)."""
    part.load_state_dict({name: torch.from_numpy(tensors[prefix + name]).float() for name in part.state_dict()})
    return part


def of_file(spec, tensors, device="cpu"):
    """Denoiser and VAE of a checkpoint, in f32, not for training."""
    denoiser = Denoiser(spec)
    fill(denoiser.text, TEXT_PREFIX, tensors)
    fill(denoiser.unet, UNET_PREFIX, tensors)
    vae = fill(VAE(spec["vae"]), VAE_PREFIX, tensors)
    return denoiser.to(device).eval(), vae.to(device).eval()


def parameters(part):
    return sum(parameter.numel() for parameter in part.parameters())


def matrix_type(settings):
    """The context in which a network runs: products in bf16 where the settings say so."""
    if settings.run.matrix_type == "f32":
        return contextlib.nullcontext()
    return torch.autocast(settings.run.device, dtype=torch.bfloat16)
